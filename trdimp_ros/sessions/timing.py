"""How a session shares its time: bound to a clock beside a live camera, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """What a session does for the sake of time.

    Attributes:
        catch_up_seconds: A target that was started in a past image reaches the present in so many seconds; images are
            skipped for it. None: no image is skipped, however long it takes.
        image_patience: A request waits so many seconds for the image that it names. None: for as long as it takes.
        restart_share: Restarts of targets take at most this share of the time while others are tracked, so a flood of
            them does not slow the others down. 1: as much as they want.
    """

    catch_up_seconds: float | None = None
    image_patience: float | None = None
    restart_share: float = 1.0


OFFLINE = Timing()
"""For files and bags: every image counts, and two runs give the same numbers."""

REAL_TIME = Timing(catch_up_seconds=1.0, image_patience=3.0, restart_share=0.2)
"""For a live camera."""


class CatchUpPace:
    """Decides which images a target skips to reach the present in time.

    Args:
        seconds: The time that it has; None: it skips nothing.
        clock: The monotonic clock, seconds.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._deadline = None if seconds is None else self._last + seconds
        self._slowest = 0.0

    def next_index(self, waiting: int) -> int:
        """Which of the images that still wait, 0 for the oldest, is to be looked at next.

        Args:
            waiting: The number of images between the one looked at last and the present; at least 1.
        """
        if self._deadline is None:
            return 0
        now = self._clock()
        steps = max(int((self._deadline - now) / max(self._slowest, 1e-3)), 1)
        return min(-(-waiting // steps), waiting) - 1

    def step_done(self) -> None:
        """An image was looked at; whatever was done between two of them counts as its time."""
        now = self._clock()
        self._slowest = max(self._slowest, now - self._last)
        self._last = now


class RestartLimit:
    """Keeps restarts of targets to a share of the time.

    Args:
        share: The share, greater than 0; 1: no limit.
        clock: The monotonic clock, seconds.
    """

    MEMORY = 10.0
    """An id that was started within so many seconds counts as a restart even if it was dropped in between."""

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._starts: dict[str, float] = {}
        self._free_at = 0.0

    def must_wait(self, target_id: str) -> bool:
        """Whether it is too early to start this target again."""
        return target_id in self._starts and self._clock() < self._free_at

    def started(self, target_id: str, seconds: float) -> None:
        """A target was started, which took so many seconds."""
        now = self._clock()
        if self._starts.pop(target_id, None) is not None:
            self._free_at = now + seconds * (1 / self._share - 1)
        self._starts = {name: then for name, then in self._starts.items() if now - then < self.MEMORY}
        self._starts[target_id] = now
