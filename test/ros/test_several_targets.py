"""Several targets in one node, over real DDS."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.messages import box_message, box_of_message, nanoseconds
from trdimp_ros.srv import DropTarget
from trdimp_ros.testing.ros_harness import Client, System
from trdimp_ros.testing.tiny import small_scene, tiny_tracker
from trdimp_ros.tracking import Box

FRAMES, BOXES = small_scene()
CUP, BALL, BOOK = Box(*BOXES[0]), Box(90.0, 30.0, 30.0, 30.0), Box(20.0, 70.0, 30.0, 30.0)


def states_of(client: Client, stamp: int) -> dict[str, TrackState]:
    return {state.target_id: state for state in client.states if nanoseconds(state.header.stamp) == stamp}


def show(client: Client, pixels: np.ndarray, targets: set[str]) -> dict[str, TrackState]:
    """Publish an image and wait for the states of all targets in it."""
    stamp = nanoseconds(client.send_image(pixels).header.stamp)
    client.spin_until(lambda: set(states_of(client, stamp)) >= targets)
    states = states_of(client, stamp)
    assert set(states) == targets
    return states


def begin_all(client: Client, **boxes: Box) -> None:
    message = client.send_image(FRAMES[0])
    for name, box in boxes.items():
        client.send_init(box, message.header, name)
    client.spin_until(lambda: {state.target_id for state in client.states} >= set(boxes))


def offline(box: Box, last: int) -> Box:
    tracker = tiny_tracker()
    tracker.initialize(FRAMES[0], box)
    return [tracker.track(frame) for frame in FRAMES[1 : last + 1]][-1].box


def test_each_target_is_tracked_as_the_library_tracks_it_alone(system: System):
    system.start_tracker(max_targets=3)
    client = system.client
    begin_all(client, cup=CUP, ball=BALL, book=BOOK)
    for index in range(1, 6):
        states = show(client, FRAMES[index], {"cup", "ball", "book"})
    for name, box in (("cup", CUP), ("ball", BALL), ("book", BOOK)):
        assert np.allclose(box_of_message(states[name].bbox), offline(box, 5), atol=1e-3)


def test_detections_hold_all_and_detection_the_first_with_their_labels(system: System):
    system.start_tracker(max_targets=2)
    client = system.client
    single, several = [], []
    client.create_subscription(Detection2D, "tracker/detection", single.append, 10)
    client.create_subscription(Detection2DArray, "tracker/detections", several.append, 10)
    client.spin_for(0.5)
    message = client.send_image(FRAMES[0])
    for name, box, label in (("cup", CUP, "mug"), ("ball", BALL, "toy")):
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id = label
        client.inits.publish(Detection2D(header=message.header, id=name, bbox=box_message(box), results=[hypothesis]))
    client.spin_until(lambda: {state.target_id for state in client.states} >= {"cup", "ball"})
    states = show(client, FRAMES[1], {"cup", "ball"})
    header = states["cup"].header
    client.spin_until(lambda: several and several[-1].header == header and single[-1].header == header)
    found = {one.id: one.results[0].hypothesis.class_id for one in several[-1].detections}
    assert found == {"cup": "mug", "ball": "toy"}
    assert {one.id for one in single} == {"cup"}


def test_one_target_is_dropped_restarted_and_all_are_reset(system: System):
    system.start_tracker(max_targets=2)
    client = system.client
    begin_all(client, cup=CUP, ball=BALL)
    answer = client.call(DropTarget, "tracker/drop", DropTarget.Request(id="cup"))
    assert (answer.success, answer.message) == (True, "target 'cup' forgotten; there are: ball")
    show(client, FRAMES[1], {"ball"})
    answer = client.call(DropTarget, "tracker/drop", DropTarget.Request(id="cup"))
    assert (answer.success, answer.message) == (False, "there is no target 'cup'; there are: ball")
    message = client.send_image(FRAMES[2])
    client.send_init(BOOK, message.header, "ball")
    client.spin_until(lambda: np.allclose(box_of_message(client.states[-1].bbox), BOOK))
    show(client, FRAMES[3], {"ball"})
    assert client.call(Trigger, "tracker/reset", Trigger.Request()).success
    assert client.track(FRAMES[4]).state == TrackState.IDLE


def test_a_refused_init_touches_nobody(system: System):
    tracker = system.start_tracker(max_targets=2)
    client = system.client
    begin_all(client, cup=CUP, ball=BALL)
    client.send_init(BOOK, target="book")
    client.spin_until(lambda: "init refused (book): 2 targets are tracked already" in tracker.output)
    client.send_init((0.0, 0.0, 0.0, 0.0), target="cup")
    client.spin_until(lambda: "init refused (cup)" in tracker.output)
    for index in range(1, 4):
        states = show(client, FRAMES[index], {"cup", "ball"})
    assert np.allclose(box_of_message(states["cup"].bbox), offline(CUP, 3), atol=1e-3)


def test_one_catches_up_while_the_other_is_tracked(system: System):
    system.start_tracker(max_targets=2, frame_buffer=10.0)
    client = system.client
    begin_all(client, ball=BALL)
    stamps = [nanoseconds(show(client, FRAMES[index], {"ball"})["ball"].header.stamp) for index in range(1, 10)]
    client.send_init(BOXES[1], client.header(stamps[0]), "cup")
    client.spin_until(lambda: client.states[-1].target_id == "cup")
    assert nanoseconds(client.states[-1].header.stamp) == stamps[-1]
    states = show(client, FRAMES[10], {"ball", "cup"})
    assert np.allclose(box_of_message(states["ball"].bbox), offline(BALL, 10), atol=1e-3)


def test_a_flood_on_one_id_leaves_the_other_its_images(system: System):
    system.start_tracker(max_targets=2)
    client = system.client
    begin_all(client, cup=CUP, ball=BALL)
    stamps = []
    for index in range(40):
        stamps.append(nanoseconds(client.send_image(FRAMES[index % 12]).header.stamp))
        for number in range(25):
            client.send_init((BALL.x + number / 25, *BALL[1:]), target="ball")
        client.spin_until(lambda: "cup" in states_of(client, stamps[-1]))
    assert all("cup" in states_of(client, stamp) for stamp in stamps)
    restarts = sum(
        state.target_id == "ball" and np.allclose(box_of_message(state.bbox)[1:], BALL[1:]) for state in client.states
    )
    assert restarts < 40, "restarts have a share of the time, not all of it"


def test_pictures_and_diagnostics_show_every_target(system: System):
    system.start_tracker(max_targets=2)
    client = system.client
    pictures, statuses = [], []
    client.create_subscription(Image, "tracker/debug_image", pictures.append, 1)
    client.create_subscription(DiagnosticArray, "/diagnostics", lambda message: statuses.append(message.status[0]), 10)
    client.spin_for(0.5)
    begin_all(client, cup=CUP, ball=BALL)
    states = show(client, FRAMES[1], {"cup", "ball"})
    client.spin_until(lambda: pictures and pictures[-1].header == states["ball"].header)
    drawn = np.frombuffer(pictures[-1].data, np.uint8).reshape(120, 160, 3)
    green = (
        np.isin(drawn[..., 0], (60, 120)) & (drawn[..., 1] == 220) & (drawn[..., 2] == 60)
    )  # found, found beside a look-alike
    for box in (box_of_message(state.bbox) for state in states.values()):
        middle, left = round(box.y + box.h / 2), round(box.x)
        assert green[middle, max(left - 1, 0) : left + 2].any(), "its left edge"
    client.spin_until(lambda: statuses and "target ball" in {pair.key for pair in statuses[-1].values})
    values = {pair.key: pair.value for pair in statuses[-1].values}
    assert "confidence" in values["target cup"]
    assert values["targets"] == "2"


def test_with_room_for_one_an_init_takes_its_place(system: System):
    system.start_tracker()
    client = system.client
    begin_all(client, cup=CUP)
    begin_all(client, ball=BALL)
    show(client, FRAMES[1], {"ball"})


def test_eight_targets_and_a_camera_that_is_too_fast(system: System):
    """Every image is either dropped or looked at for all targets, and the newest one is never dropped."""
    names = [str(number) for number in range(1, 9)]
    system.start_tracker(max_targets=len(names), frame_buffer=0.0)
    client, statuses = system.client, []
    client.create_subscription(DiagnosticArray, "/diagnostics", lambda message: statuses.append(message.status[0]), 10)
    begin_all(
        client, **{name: Box(8.0 + 16 * number, 20.0 + 8 * number, 24.0, 24.0) for number, name in enumerate(names)}
    )
    for index in range(40):
        message = client.send_image(FRAMES[index % 12])
        client.spin_for(0.005)
    client.spin_until(lambda: set(states_of(client, nanoseconds(message.header.stamp))) == set(names))
    stamps = {nanoseconds(state.header.stamp) for state in client.states}
    assert all(len(states_of(client, stamp)) == len(names) for stamp in stamps - {min(stamps)})
    seen = len(statuses)
    client.spin_until(lambda: len(statuses) > seen + 1)  # one that was made after this was asked
    values = {pair.key: pair.value for pair in statuses[-1].values}
    received, processed, dropped = (int(values[f"images {what}"]) for what in ("received", "processed", "dropped"))
    assert received == processed + dropped
    assert dropped > 0
    assert values["targets"] == "8"
