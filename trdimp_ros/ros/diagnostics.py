"""The diagnostics messages: what the node says of its health once a second."""

from __future__ import annotations

from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.sessions import HandOffCounts, TargetResult
from trdimp_ros.tracking import State

WORST_LAST = (State.NORMAL, State.HARD_NEGATIVE, State.UNCERTAIN, State.NOT_FOUND)


@dataclass(frozen=True)
class Health:
    """What the diagnostics say beside the statistics.

    Attributes:
        targets: What was last seen of every target.
        arrived: The number of images that have arrived.
        dropped: The number of images that were not looked at because a newer one came.
        paused: Whether tracking is switched off.
        silence: The seconds for which no image has arrived, if that is too long.
        candidates_received: The number of a detector's messages.
        hand_off: What has become of the candidates in them.
    """

    targets: tuple[TargetResult, ...]
    arrived: int
    dropped: int
    paused: bool = False
    silence: float | None = None
    candidates_received: int = 0
    hand_off: HandOffCounts = field(default_factory=HandOffCounts)

    @property
    def state(self) -> str:
        """Idle, paused, or the state of the target that is worst off."""
        if self.paused:
            return "paused"
        states = [target.track.state for target in self.targets]
        return max(states, key=WORST_LAST.index).name.lower() if states else "idle"


def diagnostic_status(name: str, hardware: str, statistics: Statistics, health: Health) -> DiagnosticStatus:
    """The node's health: ERROR after a failure of the tracker, WARN without images or with a lost target, else OK."""
    rate_in, rate_out = statistics.rates(health.arrived)
    median, high = statistics.latency_percentiles()
    values = {
        "state": health.state,
        "targets": str(len(health.targets)),
        **{f"target {target.id}": _target_text(target) for target in health.targets},
        "images in per second": f"{rate_in:.1f}",
        "images out per second": f"{rate_out:.1f}",
        "images received": str(health.arrived),
        "images processed": str(statistics.processed),
        "images dropped": str(health.dropped),
        "images refused": str(statistics.bad_images),
        "inits refused": str(statistics.refused_inits),
        "candidate messages received": str(health.candidates_received),
        "candidate messages refused": str(statistics.refused_candidates),
        "candidates matched": str(health.hand_off.matched),
        "targets started from candidates": str(health.hand_off.started),
        "targets looked for at candidates": str(health.hand_off.rescued),
        "sizes corrected by candidates": str(health.hand_off.resized),
        "last problem": statistics.last_problem,
        "latency p50 ms": f"{median:.1f}",
        "latency p99 ms": f"{high:.1f}",
        **{f"stage {stage} ms": f"{milliseconds:.2f}" for stage, milliseconds in statistics.stages().items()},
    }
    level, message = _judgement(statistics, health)
    return DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware, values=pairs(values))


def pairs(values: dict[str, str]) -> list[KeyValue]:
    """The values as diagnostics carry them."""
    return [KeyValue(key=key, value=value) for key, value in values.items()]


def _judgement(statistics: Statistics, health: Health) -> tuple[bytes, str]:
    lost = [target.id for target in health.targets if not target.track.found]
    if statistics.error:
        return DiagnosticStatus.ERROR, statistics.error
    if health.silence is not None:
        return DiagnosticStatus.WARN, f"no image has arrived for {health.silence:.0f} s"
    if lost and not health.paused:
        return DiagnosticStatus.WARN, f"lost: {', '.join(lost)}"
    return DiagnosticStatus.OK, health.state


def _target_text(target: TargetResult) -> str:
    track = target.track
    since = f", not found for {target.frames_since_found} images" if target.frames_since_found else ""
    return f"{track.state.name.lower()}, confidence {track.confidence:.2f}{since}, class {target.label}"


def unconfigured_status(name: str, failure: str) -> DiagnosticStatus:
    """The node's health before configure: ERROR with the reason after a failed one, else OK, as Nav2 reports it."""
    level = DiagnosticStatus.ERROR if failure else DiagnosticStatus.OK
    return DiagnosticStatus(level=level, name=name, message=failure or "unconfigured", values=[])
