"""What crosses between host and device in a frame: the crop's pixels and one small tensor in, another out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import MAX_SHRINK
from trdimp_ros.tracking.localization import Localization, Rule, State, Thresholds


class FrameNumbers(NamedTuple):
    """What the host decides for a frame: float32 tensors, all views of one upload.

    Attributes:
        position: (T, 2) last positions of T targets.
        size: (T, 2) their heights and widths.
        scale: (T, 1) image pixels per pixel of the network input that their sizes call for.
        base_size: (T, 2) their sizes at scale 1.
        scale_bounds: (T, 2) smallest and largest scale, without IoU predictor.
        image_size: (T, 2) rows and columns.
        sample_positions: (T, N, 2) centres of the search areas of N scales.
        sample_scales: (T, N) their image pixels per pixel of the network input.
        uniform: (T, R, 4) random numbers for the candidate boxes.
        taps: (T, N, 6, S) for rows, then columns: first source line, second one, share of the second.
        widths: (T, N, 1) pixels in a line of the uploaded crops.
    """

    position: torch.Tensor
    size: torch.Tensor
    scale: torch.Tensor
    base_size: torch.Tensor
    scale_bounds: torch.Tensor
    image_size: torch.Tensor
    sample_positions: torch.Tensor
    sample_scales: torch.Tensor
    uniform: torch.Tensor
    taps: torch.Tensor
    widths: torch.Tensor

    def first(self, targets: int) -> FrameNumbers:
        """Those of the first targets only; views."""
        return FrameNumbers(*(values[:targets] for values in self))


def number_shapes(targets: int, scales: int, side: int, candidates: int) -> dict[str, tuple[int, ...]]:
    """Shapes of `FrameNumbers` for T targets, N scales, input side S and R random candidates."""
    shapes: dict[str, tuple[int, ...]] = {
        "position": (2,),
        "size": (2,),
        "scale": (1,),
        "base_size": (2,),
        "scale_bounds": (2,),
        "image_size": (2,),
        "sample_positions": (scales, 2),
        "sample_scales": (scales,),
        "uniform": (candidates, 4),
        "taps": (scales, 6, side),
        "widths": (scales, 1),
    }
    return {name: (targets, *shape) for name, shape in shapes.items()}


class ParameterNumbers(NamedTuple):
    """The parameters that may change while tracking: float32 tensors, all views of one upload.

    Attributes:
        thresholds: (7,) of `Thresholds`.
        jitter: (2,) box_jitter_pos, box_jitter_sz.
        max_aspect_ratio: (1,).
        step: (4,) step lengths of the refinement.
        decay: (1,).
    """

    thresholds: torch.Tensor
    jitter: torch.Tensor
    max_aspect_ratio: torch.Tensor
    step: torch.Tensor
    decay: torch.Tensor


PARAMETER_SHAPES: dict[str, tuple[int, ...]] = {
    "thresholds": (len(Thresholds._fields),),
    "jitter": (2,),
    "max_aspect_ratio": (1,),
    "step": (4,),
    "decay": (1,),
}


def parameter_values(config: TrackerConfig) -> dict[str, Sequence[float]]:
    """`ParameterNumbers` of a configuration."""
    length = config.box_refinement_step_length
    size_length = config.box_refinement_size_step_length or length
    return {
        "thresholds": [getattr(config, name) for name in Thresholds._fields],
        "jitter": [config.box_jitter_pos, config.box_jitter_sz],
        "max_aspect_ratio": [config.maximal_aspect_ratio],
        "step": [length, length, size_length, size_length],
        "decay": [config.box_refinement_step_decay],
    }


class NumberUpload:
    """Named float32 numbers that go to the device in one copy, always to the same place in memory.

    Args:
        shapes: By name.
        device: Where they go.

    Attributes:
        tensors: Views of the numbers on the device, by name.
    """

    def __init__(self, shapes: dict[str, tuple[int, ...]], device: torch.device) -> None:
        counts = [math.prod(shape) for shape in shapes.values()]
        self._host = torch.zeros(sum(counts), pin_memory=device.type == "cuda")
        # Without a device of its own nothing has to be copied.
        self._device = self._host if device.type == "cpu" else torch.zeros(sum(counts), device=device)
        pieces = zip(shapes.items(), self._host.split(counts), self._device.split(counts), strict=True)
        self.tensors: dict[str, torch.Tensor] = {}
        self._arrays: dict[str, NDArray[np.float32]] = {}
        for (name, shape), on_host, on_device in pieces:
            self._arrays[name] = on_host.view(shape).numpy()
            self.tensors[name] = on_device.view(shape)

    def fill(self, values: Mapping[str, NDArray[np.number] | Sequence[float]], row: int | None = None) -> None:
        """Set all values, or those of one target, on the host."""
        for name, array in self._arrays.items():
            place = array if row is None else array[row : row + 1]
            place[...] = np.asarray(values[name], np.float32).reshape(place.shape)

    def send(self) -> None:
        """Copy all values to the device."""
        if self._device is not self._host:
            self._device.copy_(self._host, non_blocking=True)


class CropUpload:
    """Room on the device for the pixels of search areas, always at the same place in memory.

    Args:
        crops: Their number B.
        side: Of the network input; a crop has at most `MAX_SHRINK` times as many lines.
        device: Where the pixels go.

    Attributes:
        pixels: (B, P, 3) uint8 on the device; a crop fills the first places, line by line.
    """

    def __init__(self, crops: int, side: int, device: torch.device) -> None:
        room = (math.ceil(MAX_SHRINK * side) + 2) ** 2
        self._host = torch.zeros(crops, room, 3, dtype=torch.uint8, pin_memory=device.type == "cuda")
        self.pixels = self._host if device.type == "cpu" else torch.zeros_like(self._host, device=device)

    def send(self, index: int, crop: NDArray[np.uint8]) -> None:
        """Copy a crop (h, w, 3), only as many pixels as it has."""
        height, width = crop.shape[:2]
        used = self._host[index, : height * width]
        np.copyto(used.numpy().reshape(crop.shape), crop)
        if self.pixels is not self._host:
            self.pixels[index, : height * width].copy_(used, non_blocking=True)


class FrameDecision(NamedTuple):
    """What the host needs to know of a target after a frame; those of all targets are one small copy.

    Attributes:
        rule: A `localization.Rule`.
        state: A `State`.
        scale_index: Which of the scales won.
        confidence: Maximum of the score map.
        position: (row, column) of the target after the frame.
        size: (height, width).
        scale: Of the next search area.
        learn_position: Where the frame's features are learned.
    """

    rule: int
    state: State
    scale_index: int
    confidence: float
    position: NDArray[np.float32]
    size: NDArray[np.float32]
    scale: np.float32
    learn_position: NDArray[np.float32]

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        numbers = (self.confidence, self.scale, *self.position, *self.size, *self.learn_position)
        return bool(np.isfinite(numbers).all())

    def lost(self, position: NDArray[np.float32], size: NDArray[np.float32], scale: np.float32) -> FrameDecision:
        """The decision that nothing was found and everything stays as it was."""
        return FrameDecision(
            int(Rule.NOT_FOUND), State.NOT_FOUND, self.scale_index, 0.0, position, size, scale, position
        )

    @classmethod
    def from_packed(cls, packed: NDArray[np.float32]) -> FrameDecision:
        """Inverse of `pack_decision` for one target's row (11,)."""
        return cls(
            rule=int(packed[0]),
            state=State(int(packed[1])),
            scale_index=int(packed[2]),
            confidence=float(packed[3]),
            position=packed[4:6].copy(),
            size=packed[6:8].copy(),
            scale=packed[8],
            learn_position=packed[9:11].copy(),
        )


def pack_decision(
    found: Localization, position: torch.Tensor, size: torch.Tensor, scale: torch.Tensor, learn_position: torch.Tensor
) -> torch.Tensor:
    """(T, 11) float32, see `FrameDecision.from_packed`."""
    numbers = torch.stack([found.rule, found.state, found.scale_index], dim=1).float()
    return torch.cat([numbers, found.confidence[:, None], position, size, scale, learn_position], dim=1)
