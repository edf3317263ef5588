"""What the node measures of itself."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np

WINDOW = 500
"""Number of latest latencies that the percentiles are taken over."""

RATE_WINDOW = 30
"""Number of latest images that the rate drawn into the debug image is taken over."""

SMOOTHING = 0.1
"""Weight of a new stage time in its running mean."""


class Statistics:
    """Counters and latencies; written by the tracking thread, read by the timer of the diagnostics.

    Attributes:
        processed: The number of images that the session looked at.
        bad_images: The number of images that could not be decoded.
        refused_inits: The number of requests that could not be met.
        refused_candidates: The number of a detector's messages that could not be used.
        last_problem: The last refusal.
        error: The last failure of the tracker; empty since a target is tracked again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._stages: dict[str, float] = {}
        self._stage_start = 0.0
        self._last_report = (time.monotonic(), 0, 0)
        self._last_image = -1
        self._recent: deque[float] = deque(maxlen=RATE_WINDOW)
        self.processed = 0
        self.bad_images = 0
        self.refused_inits = 0
        self.refused_candidates = 0
        self.last_problem = ""
        self.error = ""

    def frame_started(self) -> None:
        """The session begins a piece of work."""
        self._stage_start = time.perf_counter()

    def stage_done(self, name: str) -> None:
        """The tracker's stage hook."""
        now = time.perf_counter()
        self.record(name, 1e3 * (now - self._stage_start))
        self._stage_start = now

    def record(self, name: str, milliseconds: float) -> None:
        """Add a time to a stage's running mean."""
        with self._lock:
            mean = self._stages.get(name, milliseconds)
            self._stages[name] = mean + SMOOTHING * (milliseconds - mean)

    def image_done(self, number: int) -> bool:
        """The image of this number was looked at; returns whether it is a new one, which is counted."""
        if number <= self._last_image:
            return False
        self._last_image = number
        self._recent.append(time.monotonic())
        self.processed += 1
        return True

    def rate_out(self) -> float:
        """Images per second over the last ones; 0 before the second."""
        times = list(self._recent)
        return (len(times) - 1) / max(times[-1] - times[0], 1e-3) if len(times) > 1 else 0.0

    def published(self, latency: float) -> None:
        """A result went out this many seconds after its image's stamp."""
        with self._lock:
            self._latencies.append(latency)

    def latency_percentiles(self) -> tuple[float, float]:
        """Median and 99th percentile in milliseconds; zeros before the first result."""
        with self._lock:
            values = list(self._latencies) or [0.0]
        median, high = np.percentile(values, (50, 99))
        return 1e3 * float(median), 1e3 * float(high)

    def rates(self, arrived: int) -> tuple[float, float]:
        """Images per second in and out since the last call."""
        now = time.monotonic()
        then, arrived_then, processed_then = self._last_report
        self._last_report = (now, arrived, self.processed)
        span = max(now - then, 1e-3)
        return (arrived - arrived_then) / span, (self.processed - processed_then) / span

    def stages(self) -> dict[str, float]:
        """Running mean of every stage in milliseconds."""
        with self._lock:
            return dict(self._stages)
