"""Cut the small golden set in this folder from the full one: `python test/golden/make_small_set.py FULL_FOLDER`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from trdimp_ros.testing.golden_manifest import GoldenEntry, read_manifest, write_manifest

HERE = Path(__file__).parent
FRAMES = 8
RUNS = ("track_trdimp_options", "track_trdimp_vot")
KEPT = (
    r"prroi_pool/[acde]/", r"backbone/224/", r"clf_feature/224/", r"instance_l2norm/", r"transformer/small/", r"label/",
    r"optimizer/", r"localize/", r"window/", r"memory/(learning|min|fast_small|lr1|small)", r"geometry/",
    r"sample_patch/(imageB|cases|coords|patch_)", r"train/(kl|hinge)",
)  # fmt: skip
MAX_NUMBERS = 8_000
"""A larger output is thinned along its first dimensions."""

PER_FRAME = (
    "box", "max_score", "flag", "scale_ind", "pos", "target_sz", "target_scale", "sample_pos", "sample_scale",
    "search_box", "scores", "num_stored", "tf_memory", "replace_ind", "sample_weights", "train_box", "filter_norm",
    "filter_probe", "forced_scores_absdiff",
)  # fmt: skip
OF_RUN = (
    "init_box", "init_shifts", "init_target_boxes", "init_target_scale", "init_base_target_sz", "init_scale_bounds",
    "config", "preset", "overrides", "init_filter", "init_mod3", "init_mod4", "init_samples",
)  # fmt: skip


def small_run(path: Path) -> dict[str, np.ndarray]:
    run = np.load(path)
    small = {key: run[key][: FRAMES - 1] for key in PER_FRAME} | {key: run[key] for key in OF_RUN}
    small["free_horizon"] = np.minimum(run["free_horizon"], FRAMES)
    small["frames"] = np.array(FRAMES)
    return small


def small_cases(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Keep the crop cases of the images that are kept, and renumber their patches: new key -> old key."""
    cases = json.loads(str(arrays["sample_patch/cases"]))
    kept = [index for index, case in enumerate(cases) if f"sample_patch/image{case['image']}" in arrays]
    renumbered = {f"sample_patch/patch_{new:02d}": f"sample_patch/patch_{old:02d}" for new, old in enumerate(kept)}
    patches = {new + end: arrays[old + end] for new, old in renumbered.items() for end in ("", ".stats")}
    arrays = {key: value for key, value in arrays.items() if not key.startswith("sample_patch/patch")}
    arrays["sample_patch/cases"] = np.array(json.dumps([cases[index] for index in kept]))
    arrays["sample_patch/coords"] = arrays["sample_patch/coords"][kept]
    return arrays | patches, renumbered


def thinned(value: np.ndarray, entry: GoldenEntry) -> tuple[np.ndarray, GoldenEntry]:
    """Every n-th element along the longest dimension."""
    step = -(-value.size // MAX_NUMBERS)
    axis = int(np.argmax(value.shape))
    stored = [list(numbers) for numbers in entry.stored or [[0, None, 1]] * value.ndim]
    stored[axis][2] = (stored[axis][2] or 1) * step
    kept = tuple(slice(None, None, step if index == axis else 1) for index in range(value.ndim))
    return value[kept], replace(entry, stored=stored)


def main(full: Path) -> None:
    described = read_manifest(full)
    everything = np.load(full / "modules.npz")
    arrays = {key: everything[key] for key in everything.files if re.match("|".join(KEPT), key)}
    arrays, renumbered = small_cases(arrays)
    entries = {}
    for key in list(arrays):
        base = key.removesuffix(".stats")
        entry = described[renumbered.get(base, base) + key[len(base) :]]
        value = arrays[key]
        thin_already = entry.stored is not None and entry.stored[0][0] is None
        if value.size > MAX_NUMBERS and value.dtype == np.float32 and entry.tolerance > 0 and not thin_already:
            arrays[key], entry = thinned(value, entry)
        entries[key] = entry
    np.savez_compressed(HERE / "modules.npz", **arrays)
    for name in RUNS:
        np.savez_compressed(HERE / f"{name}.npz", **small_run(full / f"{name}.npz"))
    clip = np.load(full / "clip.npz")
    np.savez_compressed(HERE / "clip.npz", frames_delta=clip["frames_delta"][:FRAMES], gt=clip["gt"][:FRAMES])
    # Weights and batch norm statistics are those of the package's untrained network.
    shutil.copyfile(full / "state_dict_layout.json", HERE / "state_dict_layout.json")
    write_manifest(HERE, entries)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
