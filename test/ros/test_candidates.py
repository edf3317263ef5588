"""A detector's candidates over real DDS: they start targets, are refused with reasons, and bring a lost target back."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.messages import box_message, candidates_of_message, nanoseconds
from trdimp_ros.sessions import Candidate
from trdimp_ros.testing.late_detector import LateDetection, command, show_all
from trdimp_ros.testing.ros_harness import Client, System
from trdimp_ros.testing.tiny import small_scene
from trdimp_ros.tracking import Box

EXAMPLE = Path(__file__).parents[2] / "examples" / "detect_and_track.py"
STARTING_SECONDS = 200.0
"""Two processes that import torch at the same time, on a machine that does other things as well."""
FRAMES, BOXES = small_scene()
CUP, BALL = Box(*BOXES[0]), Box(90.0, 30.0, 30.0, 30.0)


def detection(box: Box, *hypotheses: tuple[str, float]) -> Detection2D:
    results = [ObjectHypothesisWithPose() for _ in hypotheses]
    for result, (label, score) in zip(results, hypotheses, strict=True):
        result.hypothesis.class_id, result.hypothesis.score = label, score
    return Detection2D(bbox=box_message(box), results=results)


class Detector:
    """Publishes candidates."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._candidates = client.create_publisher(Detection2DArray, "tracker/candidates", 10)
        client.spin_until(lambda: self._candidates.get_subscription_count() > 0)
        client.spin_for(0.5)  # until discovery is done on the other side as well

    def say(self, header, *detections: Detection2D) -> None:
        self._candidates.publish(Detection2DArray(header=header, detections=detections))


def ids(client: Client) -> set[str]:
    return {state.target_id for state in client.states if state.state != TrackState.IDLE}


def test_a_message_becomes_candidates_of_the_best_hypotheses():
    message = Detection2DArray(
        detections=[
            detection(CUP, ("mug", 0.3), ("cup", 0.6)),
            detection(BALL),
            detection(BALL, ("", 0.5)),
        ]
    )
    assert candidates_of_message(message) == [
        Candidate(CUP, "cup", 0.6),
        Candidate(BALL, "target", 1.0),
        Candidate(BALL, "target", 0.5),
    ]


def test_candidates_of_a_past_image_start_targets_with_their_classes(system: System):
    system.start_tracker(max_targets=3, candidates__auto_init="all", candidates__classes="mug", frame_buffer=10.0)
    client = system.client
    detector = Detector(client)
    labels: list[dict[str, str]] = []
    client.create_subscription(
        Detection2DArray,
        "tracker/detections",
        lambda message: labels.append({one.id: one.results[0].hypothesis.class_id for one in message.detections}),
        10,
    )
    header = client.track(FRAMES[0]).header
    client.track(FRAMES[1])
    detector.say(header, detection(CUP, ("mug", 0.9)), detection(BALL, ("toy", 0.9)), detection(BALL, ("mug", 0.1)))
    client.spin_until(lambda: ids(client))
    assert client.track(FRAMES[2]).target_id == "target_1"
    client.spin_until(lambda: labels and labels[-1] == {"target_1": "mug"})
    assert ids(client) == {"target_1"}


def test_it_is_off_until_it_is_switched_on_while_the_node_runs(system: System):
    tracker = system.start_tracker(max_targets=2)
    client = system.client
    detector = Detector(client)
    header = client.send_image(FRAMES[0]).header
    detector.say(header, detection(CUP))
    client.spin_until(lambda: "candidates.auto_init is off" in tracker.output)
    assert client.track(FRAMES[1]).state == TrackState.IDLE
    refused = client.set_parameters(candidates__auto_init="always")
    assert refused == (False, "candidates.auto_init must be one of off, idle, all, lost, got 'always'")
    assert client.set_parameters(candidates__auto_init="idle")[0]
    detector.say(client.send_image(FRAMES[2]).header, detection(CUP), detection(BALL))
    client.spin_until(lambda: ids(client))
    assert client.track(FRAMES[3]).target_id == "target_1"
    assert ids(client) == {"target_1"}
    assert client.set_parameters(candidates__auto_init=False)[0], "YAML reads off as false"
    assert client.get_parameter_value("candidates.auto_init").string_value == "off"


def test_what_cannot_be_used_is_refused_with_a_reason_and_counted(system: System):
    tracker = system.start_tracker(candidates__auto_init="all")
    client = system.client
    detector = Detector(client)
    statuses: list[dict[str, str]] = []
    client.create_subscription(
        DiagnosticArray,
        "/diagnostics",
        lambda message: statuses.append({pair.key: pair.value for pair in message.status[0].values}),
        10,
    )
    client.track(FRAMES[0])
    detector.say(client.header(), detection(Box(float("nan"), 0, 5, 5), ("cup", 0.9)))
    client.spin_until(lambda: "candidates refused: a candidate's box and score must be finite" in tracker.output)
    detector.say(client.header(nanoseconds(client.states[-1].header.stamp) + 10**12), detection(CUP))
    client.spin_until(lambda: "has not arrived, the newest has" in tracker.output)
    detector.say(client.header(10**9), detection(CUP))
    client.spin_until(lambda: "is not kept any more" in tracker.output)
    client.spin_until(lambda: statuses and statuses[-1].get("candidate messages refused") == "3")
    assert client.track(FRAMES[1]).state == TrackState.IDLE


def test_the_example_finds_what_has_a_colour_and_tells_with_the_image_s_header(system: System):
    client, heard = system.client, []
    client.create_subscription(Detection2DArray, "tracker/candidates", heard.append, 10)
    parameters = ["-p", "detector:=colour", "-p", "hue:=120", "-p", "period:=0.0"]
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--ros-args", *parameters],
        env=os.environ | {"ROS_DOMAIN_ID": str(system.domain)},
    )
    try:
        client.spin_until(lambda: client.images.get_subscription_count() > 0)
        client.spin_until(lambda: client.count_publishers("tracker/candidates") > 0)
        client.spin_for(0.5)
        image = np.full((120, 160, 3), 128, np.uint8)
        image[40:70, 50:90] = (20, 20, 200)  # blue
        image[80:100, 10:60] = (200, 20, 20)
        sent = client.send_image(image)
        client.spin_until(lambda: heard)
    finally:
        process.kill()
        process.wait()
    (seen,) = candidates_of_message(heard[-1])
    assert heard[-1].header == sent.header
    assert (seen.label, seen.box) == ("colour", Box(50, 40, 40, 30))
    assert seen.score > 0.9


@contextlib.contextmanager
def running(system: System, plan: LateDetection) -> Iterator[None]:
    """The late detector of a plan, as a process of its own."""
    process = subprocess.Popen(command(plan), env=os.environ | {"ROS_DOMAIN_ID": str(system.domain)})
    try:
        system.client.spin_until(lambda: system.client.count_publishers("tracker/candidates") > 0, STARTING_SECONDS)
        yield
    finally:
        process.kill()
        process.wait()


def test_a_late_and_rare_detector_keeps_a_target_alive_through_losses(system: System):
    """What benchmarks/late_detector.py measures, in short: three processes, two losses, the bundled network."""
    plan = LateDetection(frames=460, absences=2, stride=4, every=8)
    system.start(
        "tracker",
        {
            "preset": "compact",
            "max_targets": 3,
            "frame_buffer": 60.0,
            "image_qos_reliability": "reliable",
            "candidates.auto_init": "all",
            "tracker.reacquire_budget": 0,
        },
    )
    client = system.client
    with running(system, plan):
        client.spin_until(lambda: client.images.get_subscription_count() == 2, STARTING_SECONDS)
        client.wait_for_state(State.PRIMARY_STATE_ACTIVE)
        client.spin_until(lambda: client.count_publishers("tracker/state") > 0)
        client.spin_for(0.5)  # until discovery is done on the other side as well
        judge = show_all(client, plan, patience=30.0)
    assert judge.ids == ["target_1"], "no other id was ever given"
    assert judge.losses == 2
    assert None not in judge.delays
    assert len(judge.delays) == 2
    assert judge.wrong == 0
