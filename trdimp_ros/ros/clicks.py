"""Two clicks as opposite corners of a box."""

from __future__ import annotations

import time
from collections.abc import Callable

from trdimp_ros.tracking import Box

MAX_PAUSE = 10.0
"""Seconds after which a first click is forgotten."""


class TwoCorners:
    """Collects clicks; every second one completes a box.

    Args:
        clock: The monotonic clock, seconds; the node's clock may stand still or jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, float] | None = None
        self._time = 0.0

    def click(self, x: float, y: float) -> Box | None:
        """Add a click in image pixels; returns the box when it is the second."""
        now = self._clock()
        if self._first is None or now - self._time > MAX_PAUSE:
            self._first, self._time = (x, y), now
            return None
        (x0, y0), self._first = self._first, None
        return Box(min(x0, x), min(y0, y), abs(x - x0), abs(y - y0))
