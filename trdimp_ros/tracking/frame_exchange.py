"""What crosses between host and device in a frame: one small tensor in, another out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.localization import Localization, Rule, State, Thresholds


class FrameScalars(NamedTuple):
    """What the host decides for a frame: float32 tensors, all views of one upload.

    Attributes:
        position: (2,) last position of the target.
        size: (2,) its height and width.
        scale: (1,) image pixels per pixel of the network input that its size calls for.
        base_size: (2,) its size at scale 1.
        scale_bounds: (2,) smallest and largest scale, without IoU predictor.
        image_size: (2,) rows and columns.
        sample_positions: (N * 2,) centres of the search areas of N scales.
        sample_scales: (N,) their image pixels per pixel of the network input.
        thresholds: (7,) of `Thresholds`.
        jitter: (2,) box_jitter_pos, box_jitter_sz.
        max_aspect_ratio: (1,).
        step: (4,) step lengths of the refinement.
        decay: (1,).
    """

    position: torch.Tensor
    size: torch.Tensor
    scale: torch.Tensor
    base_size: torch.Tensor
    scale_bounds: torch.Tensor
    image_size: torch.Tensor
    sample_positions: torch.Tensor
    sample_scales: torch.Tensor
    thresholds: torch.Tensor
    jitter: torch.Tensor
    max_aspect_ratio: torch.Tensor
    step: torch.Tensor
    decay: torch.Tensor

    @classmethod
    def upload(cls, values: dict[str, NDArray[np.float32]], device: torch.device) -> FrameScalars:
        """Move the named values to the device in one copy."""
        arrays = [np.asarray(values[name], np.float32).ravel() for name in cls._fields]
        flat = torch.from_numpy(np.concatenate(arrays)).to(device, non_blocking=True)
        return cls(*flat.split([len(array) for array in arrays]))


def config_scalars(config: TrackerConfig) -> dict[str, NDArray[np.float32]]:
    """The part of `FrameScalars` that the parameters decide."""
    length = config.box_refinement_step_length
    size_length = config.box_refinement_size_step_length or length
    values = {
        "thresholds": [getattr(config, name) for name in Thresholds._fields],
        "jitter": [config.box_jitter_pos, config.box_jitter_sz],
        "max_aspect_ratio": [config.maximal_aspect_ratio],
        "step": [length, length, size_length, size_length],
        "decay": [config.box_refinement_step_decay],
    }
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


class FrameDecision(NamedTuple):
    """What the host needs of a frame, one small copy.

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
        """Inverse of `pack_decision`."""
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
    """(11,) float32, see `FrameDecision.from_packed`."""
    numbers = torch.stack([found.rule, found.state, found.scale_index]).float()
    return torch.cat([numbers, found.confidence[None], position, size, scale, learn_position])
