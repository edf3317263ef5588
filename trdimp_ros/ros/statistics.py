"""What the node measures of itself, and the diagnostics message made from it."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WINDOW = 500
"""Number of latest latencies that the percentiles are taken over."""

SMOOTHING = 0.1
"""Weight of a new stage time in its running mean."""


class Statistics:
    """Counters and latencies; written by the tracking thread, read by the timer of the diagnostics."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._stages: dict[str, float] = {}
        self._stage_start = 0.0
        self._last_report = (time.monotonic(), 0, 0)
        self.processed = 0
        self.bad_images = 0
        self.refused_inits = 0
        self.last_problem = ""
        self.error = ""

    def frame_started(self) -> None:
        """The tracker begins a frame."""
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

    def published(self, latency: float) -> None:
        """A result went out this many seconds after its image's stamp."""
        with self._lock:
            self.processed += 1
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


def diagnostic_status(
    name: str, hardware: str, statistics: Statistics, state: str, arrived: int, dropped: int
) -> DiagnosticStatus:
    """The node's health: ERROR after a failure of the tracker, WARN when the target is lost, else OK."""
    rate_in, rate_out = statistics.rates(arrived)
    median, high = statistics.latency_percentiles()
    values = {
        "state": state,
        "images in per second": f"{rate_in:.1f}",
        "images out per second": f"{rate_out:.1f}",
        "images received": str(arrived),
        "images processed": str(statistics.processed),
        "images dropped": str(dropped),
        "images refused": str(statistics.bad_images),
        "inits refused": str(statistics.refused_inits),
        "last problem": statistics.last_problem,
        "latency p50 ms": f"{median:.1f}",
        "latency p99 ms": f"{high:.1f}",
        **{f"stage {stage} ms": f"{milliseconds:.2f}" for stage, milliseconds in statistics.stages().items()},
    }
    if statistics.error:
        level, message = DiagnosticStatus.ERROR, statistics.error
    elif state == "not_found":
        level, message = DiagnosticStatus.WARN, "the target is lost"
    else:
        level, message = DiagnosticStatus.OK, state
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs)
