"""What a session says of an image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.image_buffer import BufferedImage
from trdimp_ros.tracking import TrackResult


@dataclass(frozen=True)
class TargetResult:
    """One target in one image.

    Attributes:
        id: The target's id.
        label: Class label of the target.
        track: Box, state and confidence of the target.
        frames_since_found: The number of images since it was found last; 0 when found in this one.
    """

    id: str
    label: str
    track: TrackResult
    frames_since_found: int = 0


@dataclass(frozen=True)
class ImageResult:
    """All that is new about one image.

    Attributes:
        image: The image.
        pixels: The image decoded, (H, W, 3) uint8 RGB.
        targets: The targets that were looked for in it now, in the order in which they were started.
        earlier: Those reported for the same image before: a target that catches up is reported after the others.
        first_id: The id of the first target, the one that was started first; empty where there is none.
    """

    image: BufferedImage
    pixels: NDArray[np.uint8]
    targets: tuple[TargetResult, ...] = ()
    earlier: tuple[TargetResult, ...] = ()
    first_id: str = ""

    @property
    def idle(self) -> bool:
        """Whether there is no target at all, not even one that catches up."""
        return not self.first_id

    @property
    def all_targets(self) -> tuple[TargetResult, ...]:
        """Every target that was looked for in this image so far."""
        return self.earlier + self.targets


class ProblemKind(Enum):
    """What could not be used."""

    IMAGE = "image refused"
    INIT = "init refused"
    CANDIDATES = "candidates refused"


@dataclass(frozen=True)
class Problem:
    """Something that was refused; nothing was changed by it.

    Attributes:
        kind: What was refused.
        reason: Why.
        id: The target's id where the request named one.
    """

    kind: ProblemKind
    reason: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}{f' ({self.id})' if self.id else ''}: {self.reason}"
