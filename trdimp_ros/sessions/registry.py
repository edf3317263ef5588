"""The targets of a session: their ids, labels, and how far each of them has got in the stream of images."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.image_buffer import BufferedImage
from trdimp_ros.sessions.results import TargetResult
from trdimp_ros.sessions.timing import CatchUpPace
from trdimp_ros.tracking import Box, TrackResult

LONGEST_HISTORY = 1024
"""Where a target was is remembered for so many images, as many as are kept at most."""


class Whereabout(NamedTuple):
    """Where a target was in an image.

    Attributes:
        number: The number of the image.
        box: Box of the target, or the last one known.
        lost: Whether it was not seen, or only on probation.
    """

    number: int
    box: Box
    lost: bool = False


@dataclass
class SessionTarget:
    """One target of a session.

    Attributes:
        id: The id that users know it by.
        label: Class label of the target.
        key: Name of the target in the tracker; where a new target replaces the only one, it has the old one's.
        seen: The number of the image that it was looked for in last.
        result: What that image said of it.
        image: That image, where it could be decoded; else the last one that could.
        pixels: The image decoded, while the target catches up.
        pace: How it skips images while it catches up with the present; None when it has.
        reported: The number of the newest image that it was reported for; -1 before the first.
        history: Where it was in the images that it was looked for in, the newest last.
        size_ratios: Height and width that a detector gave it last, in units of its own.
    """

    id: str
    label: str
    key: int
    seen: int
    result: TargetResult
    image: BufferedImage
    pixels: NDArray[np.uint8] | None = None
    pace: CatchUpPace | None = None
    reported: int = -1
    history: deque[Whereabout] = field(default_factory=lambda: deque(maxlen=LONGEST_HISTORY))
    size_ratios: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=10))

    def __post_init__(self) -> None:
        self.remember(lost=False)

    def update(self, track: TrackResult, image: BufferedImage) -> TargetResult:
        """Take over what an image says of it."""
        since_found = 0 if track.found else self.result.frames_since_found + 1
        self.result = TargetResult(self.id, self.label, track, since_found)
        self.image, self.seen = image, image.number
        return self.result

    def remember(self, lost: bool) -> None:
        """Note where it was in the image that it was looked for in last."""
        self.history.append(Whereabout(self.image.number, self.result.track.box, lost))

    def place_in(self, number: int) -> Whereabout:
        """Where it was in the image of this number.

        In an image that it was not looked for in it was in between the places before and after, or at the only one.
        Between two images it counts as lost if it was in one of them.
        """
        before = next((one for one in reversed(self.history) if one.number <= number), None)
        after = next((one for one in self.history if one.number >= number), None)
        if before is None or after is None:
            return Whereabout(number, *(before or after or self.history[-1])[1:])
        if before.lost or after.lost or before.number == after.number:
            return Whereabout(number, before.box, before.lost or after.lost)
        share = (number - before.number) / (after.number - before.number)
        sides = [first + share * (second - first) for first, second in zip(before.box, after.box, strict=True)]
        return Whereabout(number, Box(*sides))

    def go_back_to(self, image: BufferedImage, pixels: NDArray[np.uint8], pace: CatchUpPace) -> None:
        """Catch up again from an image of the past, in which it was found."""
        while self.history and self.history[-1].number > image.number:
            self.history.pop()
        self.seen, self.image, self.pixels, self.pace = image.number, image, pixels, pace


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
