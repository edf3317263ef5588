"""Replaying an end-to-end golden run with this project's tracker."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trdimp_ros.testing.golden_set import GoldenSet
from trdimp_ros.tracking import Tracker, TrackerConfig, preset
from trdimp_ros.tracking.randomness import RandomSource

RENAMED = {"dispalcement_scale": "displacement_scale"}
AUGMENTATION = {
    "fliplr": "augmentation_flip",
    "rotate": "augmentation_rotations",
    "blur": "augmentation_blurs",
    "relativeshift": "augmentation_shifts",
}
WITHOUT_EFFECT = {
    "debug", "visualization", "use_gpu", "vot_anno_conversion_type", "output_not_found_box",
    "update_classifier", "use_augmentation", "augmentation",
}  # fmt: skip


def tuples(value: Any) -> Any:
    """Lists of JSON as the tuples of `TrackerConfig`."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def config_of(run: Any) -> TrackerConfig:
    """The complete parameter set of a run (the original's names) as ours."""
    original = json.loads(str(run["config"]))
    assert original["update_classifier"] and original["use_augmentation"]
    fields: dict[str, Any] = {}
    for name, value in original.items():
        if name in WITHOUT_EFFECT:
            continue
        if name == "box_refinement_step_length" and isinstance(value, list):
            fields["box_refinement_step_length"], fields["box_refinement_size_step_length"] = value
            continue
        ours = RENAMED.get(name, name)
        known = TrackerConfig.__dataclass_fields__[ours]
        fields[ours] = float(value) if known.type == "float" else tuples(value)
    augmentation = original["augmentation"]
    for name, ours in AUGMENTATION.items():
        fields[ours] = tuples(augmentation.get(name, []))
    fields["augmentation_flip"] = bool(augmentation.get("fliplr", False))
    samples, share = augmentation.get("dropout", (0, 0.2))
    fields |= {"augmentation_dropout_samples": samples, "augmentation_dropout": share}
    return replace(preset(str(run["preset"])), **fields)


class RecordedRandom(RandomSource):
    """Replays the random numbers that the original drew."""

    def __init__(self, run: Any) -> None:
        super().__init__(0)
        self._shifts = iter(run["random_shift_uniform"])
        self._keep = run["dropout_keep"]
        self._jitters = iter(run["box_uniform"])

    def shift(self) -> np.ndarray:
        return next(self._shifts)

    def kept_channels(self, samples: int, channels: int, dropout: float) -> torch.Tensor:
        return torch.from_numpy(self._keep).float()

    def jitter(self, boxes: int) -> torch.Tensor:
        return torch.from_numpy(next(self._jitters))


def start(golden: GoldenSet, run: Any) -> Tracker:
    """A tracker initialised as the run was."""
    tracker = Tracker(golden.network, config_of(run))
    random = RecordedRandom(run) if "random_shift_uniform" in run.files else None
    tracker.initialize(golden.clip[0], run["init_box"].tolist(), random)
    return tracker


def open_run(path: Path) -> Any:
    return np.load(path, allow_pickle=False)
