"""What the device decides in a frame and the host needs to know, packed into one small tensor."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.localization import Localization, Rule, State


class FrameDecision(NamedTuple):
    """What the host needs to know of a target after a frame.

    Attributes:
        rule: The number of the `localization.Rule` that applied.
        state: What the frame says of the target.
        scale_index: Which of the scales won.
        confidence: Maximum of the score map.
        position: (row, column) of the target after the frame.
        size: (height, width).
        scale: Image pixels per pixel of the network input, for the next search area.
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


def read_decisions(packed: torch.Tensor) -> list[FrameDecision]:
    """The decisions on T targets, (T, 11) on the device: nowhere else does a frame wait for the device."""
    return [FrameDecision.from_packed(row) for row in packed.cpu().numpy()]
