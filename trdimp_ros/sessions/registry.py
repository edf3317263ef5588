"""The targets of a session: their ids, labels, and how far each of them has got in the stream of images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.image_buffer import BufferedImage
from trdimp_ros.sessions.results import TargetResult
from trdimp_ros.sessions.timing import CatchUpPace
from trdimp_ros.tracking import TrackResult


@dataclass
class SessionTarget:
    """One target of a session.

    Attributes:
        id: The id that users know it by.
        label: Its class label.
        key: Its name in the tracker; it stays when a target takes another's place.
        seen: The number of the image that it was looked for in last.
        result: What that image said of it.
        image: That image, where it could be decoded; else the last one that could.
        pixels: The image decoded, while the target catches up.
        pace: How it skips images while it catches up with the present; None when it has.
    """

    id: str
    label: str
    key: int
    seen: int
    result: TargetResult
    image: BufferedImage
    pixels: NDArray[np.uint8] | None = None
    pace: CatchUpPace | None = None

    def update(self, track: TrackResult, image: BufferedImage) -> TargetResult:
        """Take over what an image says of it."""
        since_found = 0 if track.found else self.result.frames_since_found + 1
        self.result = TargetResult(self.id, self.label, track, since_found)
        self.image, self.seen = image, image.number
        return self.result


class TargetRegistry:
    """The targets in the order in which they were started; a restarted one keeps its place.

    Args:
        max_targets: The number of targets that there is room for.
    """

    def __init__(self, max_targets: int) -> None:
        self._max_targets = max_targets
        self._targets: dict[str, SessionTarget] = {}
        self._numbers = itertools.count(1)

    def new_id(self) -> str:
        """An id that no target has."""
        return next(name for number in self._numbers if (name := f"target_{number}") not in self._targets)

    def key_for(self, target_id: str) -> int:
        """The key under which the tracker shall learn a target: its old one where it exists, else a free one.

        Where there is room for a single target, a new one takes the place of the old one.

        Raises:
            ValueError: if there is no room for one more.
        """
        if target_id in self._targets:
            return self._targets[target_id].key
        taken = {target.key for target in self}
        if len(taken) < self._max_targets:
            return next(key for key in itertools.count() if key not in taken)
        if self._max_targets == 1:
            return taken.pop()
        raise ValueError(f"{self._max_targets} targets are tracked already; drop one or raise max_targets")

    def add(self, target: SessionTarget) -> None:
        """Add a target; one with the same key or id makes room for it."""
        for other in list(self):
            if other.key == target.key and other.id != target.id:
                del self._targets[other.id]
        self._targets[target.id] = target

    def remove(self, target_id: str) -> SessionTarget | None:
        """Take a target out; returns it if it was there."""
        return self._targets.pop(target_id, None)

    def clear(self) -> None:
        """Take all targets out."""
        self._targets.clear()

    @property
    def first_id(self) -> str:
        """The id of the target that was started first; empty where there is none."""
        return next(iter(self._targets), "")

    def get(self, target_id: str) -> SessionTarget | None:
        """The target of this id."""
        return self._targets.get(target_id)

    @property
    def present(self) -> list[SessionTarget]:
        """The targets that have reached the present."""
        return [target for target in self if target.pace is None]

    @property
    def behind(self) -> list[SessionTarget]:
        """The targets that catch up."""
        return [target for target in self if target.pace is not None]

    def __iter__(self) -> Iterator[SessionTarget]:
        return iter(self._targets.values())

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, target_id: str) -> bool:
        return target_id in self._targets
