"""The target: what a frame says of it, and where it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trdimp_ros.tracking.geometry import Box, Pair
from trdimp_ros.tracking.localization import State


@dataclass(frozen=True)
class TrackResult:
    """What one frame says of the target.

    Attributes:
        box: In image pixels; the last known one when not found.
        confidence: Maximum of the score map; about 1 for a sure target, unbounded.
        state: See `State`.
        search_area: The part of the image that was searched.
    """

    box: Box
    confidence: float
    state: State
    search_area: Box

    @property
    def found(self) -> bool:
        """Whether the box is where the target is seen now."""
        return self.state != State.NOT_FOUND

    @property
    def distractor(self) -> bool:
        """Whether something that looks like the target is in sight too."""
        return self.state == State.HARD_NEGATIVE


@dataclass
class TargetState:
    """Where the target is, on the host; float32 throughout.

    Attributes:
        position: Row and column of its middle.
        size: Height and width.
        scale: Image pixels per pixel of the network input.
        base_size: Its size divided by the scale at initialisation.
        clear_size: Size when the target was last seen clearly, see `TrackerConfig.clear_view_threshold`.
        clear_scale: Scale of that frame.
        frame_number: 1 for the first frame.
    """

    position: Pair
    size: Pair
    scale: np.float32
    base_size: Pair
    clear_size: Pair
    clear_scale: np.float32
    frame_number: int = 1
