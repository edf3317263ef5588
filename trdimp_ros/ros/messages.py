"""Between the tracker's types and messages."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import BoundingBox2D, Detection2D, Detection2DArray, ObjectHypothesisWithPose

from trdimp_ros.msg import TrackState
from trdimp_ros.sessions import DEFAULT_LABEL, Candidate, TargetResult
from trdimp_ros.tracking import Box, State

STATE_NUMBERS = {
    State.NORMAL: TrackState.NORMAL,
    State.HARD_NEGATIVE: TrackState.NORMAL,
    State.UNCERTAIN: TrackState.UNCERTAIN,
    State.NOT_FOUND: TrackState.NOT_FOUND,
}


def box_of_message(bounding_box: BoundingBox2D) -> Box:
    """Corner and size from centre and size; the centre is corner + size/2."""
    center = bounding_box.center.position
    width, height = bounding_box.size_x, bounding_box.size_y
    return Box(center.x - width / 2, center.y - height / 2, width, height)


def box_of_roi(roi: RegionOfInterest) -> Box:
    """Corner and size from a region of interest."""
    return Box(float(roi.x_offset), float(roi.y_offset), float(roi.width), float(roi.height))


def box_message(box: Box) -> BoundingBox2D:
    """Inverse of `box_of_message`."""
    message = BoundingBox2D(size_x=float(box.w), size_y=float(box.h))
    message.center.position.x = float(box.x + box.w / 2)
    message.center.position.y = float(box.y + box.h / 2)
    return message


def class_label(detection: Detection2D) -> str:
    """The label of the detection's first hypothesis, or ``target``."""
    label = detection.results[0].hypothesis.class_id if detection.results else ""
    return label or DEFAULT_LABEL


def candidates_of_message(message: Detection2DArray) -> list[Candidate]:
    """What a detector has seen: the best hypothesis of each detection; one without a hypothesis is believed."""
    candidates = []
    for detection in message.detections:
        box, hypotheses = box_of_message(detection.bbox), [result.hypothesis for result in detection.results]
        if not hypotheses:
            candidates.append(Candidate(box))
            continue
        best = max(hypotheses, key=lambda hypothesis: hypothesis.score)
        candidates.append(Candidate(box, best.class_id or DEFAULT_LABEL, best.score))
    return candidates


def detection_message(header: Header, target: TargetResult) -> Detection2D:
    """A target's box as a detection, with the confidence clamped to 0..1."""
    hypothesis = ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id = target.label
    hypothesis.hypothesis.score = min(max(target.track.confidence, 0.0), 1.0)
    return Detection2D(header=header, results=[hypothesis], bbox=box_message(target.track.box), id=target.id)


def state_message(header: Header, target: TargetResult, latency_seconds: float) -> TrackState:
    """The complete state of one target in one image."""
    track = target.track
    return TrackState(
        header=header,
        target_id=target.id,
        state=STATE_NUMBERS[track.state],
        distractor=track.distractor,
        confidence=float(track.confidence),
        bbox=box_message(track.box),
        frames_since_found=target.frames_since_found,
        latency=duration_message(latency_seconds),
    )


def duration_message(seconds: float) -> Duration:
    """A duration; negative ones become zero."""
    nanoseconds = max(round(seconds * 1e9), 0)
    return Duration(sec=min(nanoseconds // 10**9, 2**31 - 1), nanosec=nanoseconds % 10**9)


def nanoseconds(stamp: Time) -> int:
    """A stamp as one number; 0 means that there is none."""
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)
