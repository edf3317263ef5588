"""Reading a folder of golden data: numbers computed by the original implementation.

The format of the numbers is described in the README.md of the folder itself, tolerances and inputs in its manifest.
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
from trdimp_ros.testing.golden_manifest import read_manifest

CHECKOUT = Path(__file__).parents[2]
"""Golden data and sequences are not installed with the package: this layer is used from a checkout."""

SMALL_SET = CHECKOUT / "test" / "golden"
FULL_SET = Path(os.environ.get("TRDIMP_GOLDEN", CHECKOUT.parent / "shared" / "golden"))


class GoldenSet:
    """One folder of golden data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays = np.load(folder / "modules.npz", allow_pickle=False)
        self._entries = read_manifest(folder)

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

    def inputs(self, key: str) -> dict[str, Any]:
        """What an entry was computed from besides other entries, by name."""
        return self._entries[key].inputs

    def tolerance(self, key: str) -> float:
        """The largest difference from an entry that is allowed."""
        return self._entries[key].tolerance

    def check(self, key: str, actual: torch.Tensor | np.ndarray, rounding: float = 0.0) -> None:
        """Assert that a complete tensor agrees with an entry, of which a part may be stored.

        Args:
            key: The entry's name.
            actual: The tensor.
            rounding: What processors may round differently, where that is more than the entry's tolerance.
        """
        actual = np.asarray(actual.detach().cpu() if isinstance(actual, torch.Tensor) else actual)
        expected = self._arrays[key]
        part = actual
        if actual.shape != expected.shape:
            stored = self._entries[key].stored
            assert stored, f"{key}: shape {actual.shape}, expected {expected.shape}"
            part = actual[tuple(slice(*numbers) for numbers in stored)]
        assert part.shape == expected.shape, f"{key}: shape {part.shape}, expected {expected.shape}"
        difference = np.abs(part.astype(np.float64) - expected.astype(np.float64)).max(initial=0.0)
        allowed = max(self.tolerance(key), rounding)
        assert difference <= allowed, f"{key}: off by {difference:.3g}, allowed {allowed:.3g}"
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
