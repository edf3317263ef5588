"""Reading a folder of golden data: numbers computed by the original implementation.

The format is described in the README.md of the folder itself, whose table also gives every entry's tolerance.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trdimp_ros.checkpoints import untrained_network
from trdimp_ros.models import TrDiMPNet

CHECKOUT = Path(__file__).parents[2]
"""Golden data and sequences are not installed with the package: this layer is used from a checkout."""

SMALL_SET = CHECKOUT / "test" / "golden"
FULL_SET = Path(os.environ.get("TRDIMP_GOLDEN", CHECKOUT.parent / "shared" / "golden"))

TABLE_ROW = re.compile(r"^\| `(?P<key>[^`]+)` \|[^|]*\|[^|]*\| (?P<tolerance>[^|]*) \| (?P<description>.*) \|$", re.M)
NUMBER = r"-?\d*\.?\d+"
LISTED_NUMBERS = re.compile(rf"(?:[\s,()]*{NUMBER}(?:/{NUMBER})?)+")
STORED = re.compile(r"stored \[(?P<slices>[0-9:, ]+)\]")


class GoldenSet:
    """One folder of golden data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays = np.load(folder / "modules.npz", allow_pickle=False)
        table = list(TABLE_ROW.finditer((folder / "README.md").read_text()))
        self._tolerances = {row["key"]: row["tolerance"].strip() for row in table}
        self._descriptions = {row["key"]: row["description"] for row in table}

    def __contains__(self, key: str) -> bool:
        return key in self._arrays.files

    def __getitem__(self, key: str) -> torch.Tensor:
        array = self._arrays[key]
        return torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)

    def json(self, key: str) -> Any:
        return json.loads(str(self._arrays[key]))

    def groups(self, pattern: str) -> list[str]:
        """All distinct matches of the pattern's group at the start of the keys, in order."""
        found = (re.match(pattern, key) for key in self._arrays.files)
        return list(dict.fromkeys(match[1] for match in found if match))

    @property
    def keys(self) -> list[str]:
        return list(self._arrays.files)

    def description(self, key: str) -> str:
        return self._descriptions[key]

    def numbers_after(self, key: str, words: str) -> list[float]:
        """The numbers that follow these words in an entry's description, up to the first word that is none.

        Written like ``(2.3,4.1), (-1.5,9.2)``, ``.5,.55`` or ``80/2.2``.
        """
        text = self._descriptions[key]
        assert words in text, f"{key}: no {words!r} in {text!r}"
        listed = LISTED_NUMBERS.match(text.split(words, 1)[1])
        assert listed, f"{key}: no numbers after {words!r} in {text!r}"
        found = re.findall(rf"({NUMBER})(?:/({NUMBER}))?", listed[0])
        return [float(one) / float(divisor or 1) for one, divisor in found]

    def tolerance(self, key: str) -> float:
        text = self._tolerances[key]
        return 0.0 if text in ("exact", "input") else float(text.removeprefix("rel "))

    def check(self, key: str, actual: torch.Tensor | np.ndarray) -> None:
        """Assert that a complete tensor agrees with an entry, of which a part may be stored."""
        actual = np.asarray(actual.detach().cpu() if isinstance(actual, torch.Tensor) else actual)
        expected = self._arrays[key]
        part = actual
        if actual.shape != expected.shape:
            stored = STORED.search(self._descriptions[key])
            assert stored, f"{key}: shape {actual.shape}, expected {expected.shape}"
            slices = [
                slice(*(int(number) if number else None for number in text.split(":")))
                for text in stored["slices"].replace(" ", "").split(",")
            ]
            part = actual[tuple(slices)]
        assert part.shape == expected.shape, f"{key}: shape {part.shape}, expected {expected.shape}"
        difference = np.abs(part.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
        assert difference <= self.tolerance(key), f"{key}: off by {difference:.3g}, allowed {self.tolerance(key):.3g}"
        if f"{key}.stats" in self:
            self._check_statistics(key, actual.astype(np.float64))

    def _check_statistics(self, key: str, actual: np.ndarray) -> None:
        mean, deviation, norm = self._arrays[f"{key}.stats"]
        allowed = self.tolerance(f"{key}.stats")
        assert abs(actual.mean() - mean) <= allowed * deviation, f"{key}: mean {actual.mean()}, expected {mean}"
        assert abs(actual.std() / deviation - 1) <= allowed, f"{key}: deviation {actual.std()}, expected {deviation}"
        assert abs(np.linalg.norm(actual) / norm - 1) <= allowed, f"{key}: norm differs from {norm}"

    @functools.cached_property
    def network(self) -> TrDiMPNet:
        """The network with the set's reproducible weights, in eval mode; the small set's are the package's own."""
        if self.folder == SMALL_SET:
            return untrained_network()[0]
        spec = importlib.util.spec_from_file_location("golden_weights", self.folder / "weights.py")
        assert spec is not None and spec.loader is not None
        weights = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(weights)
        state = weights.golden_state_dict(self.folder / "state_dict_layout.json", self.folder / "bn_stats.npz")
        network = TrDiMPNet()
        network.load_state_dict(state, strict=True)
        return network.eval()

    @property
    def tracks(self) -> list[Path]:
        return sorted(self.folder.glob("track_*.npz"))

    @functools.cached_property
    def clip(self) -> np.ndarray:
        """Frames (N, H, W, 3) uint8 RGB of the clip that all tracking runs use."""
        deltas = np.load(self.folder / "clip.npz")["frames_delta"]
        return np.cumsum(deltas, axis=0, dtype=np.uint8)


@functools.cache
def golden_set(folder: Path) -> GoldenSet:
    return GoldenSet(folder)


def available_sets() -> list[Path]:
    """The folders to test over: the small set of this repository always, the full one where it is present."""
    return [folder for folder in (SMALL_SET, FULL_SET) if (folder / "modules.npz").exists()]


def skip_in_small_set(golden: GoldenSet, key: str) -> None:
    """The small set holds a choice of the entries; any other set must hold them all."""
    if golden.folder == SMALL_SET and key not in golden:
        pytest.skip(f"{key} is too large for the small set in test/golden")
