"""Two clicks as opposite corners of a box."""

from __future__ import annotations

from trdimp_ros.tracking import Box

MAX_PAUSE = 10.0
"""Seconds after which a first click is forgotten."""


class TwoCorners:
    """Collects clicks; every second one completes a box."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._time = 0.0

    def click(self, x: float, y: float, time: float) -> Box | None:
        """Add a click in image pixels at a time in seconds; returns the box when it is the second."""
        if self._first is None or not 0 <= time - self._time <= MAX_PAUSE:
            self._first, self._time = (x, y), time
            return None
        (x0, y0), self._first = self._first, None
        return Box(min(x0, x), min(y0, y), abs(x - x0), abs(y - y0))
