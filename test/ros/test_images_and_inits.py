"""Floods, odd images, boxes of the past and clocks that stand still, over real DDS."""

from __future__ import annotations

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection2D
from visualization_msgs.msg import Marker

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.messages import box_message, nanoseconds
from trdimp_ros.testing.ros_harness import System
from trdimp_ros.testing.tiny import small_scene
from trdimp_ros.tracking import Box

FRAMES, BOXES = small_scene()


@pytest.mark.parametrize("stamp", [0, 77 * 10**9], ids=["unstamped", "stamps that stand still"])
def test_memory_is_bounded_when_the_clock_stands_still(system: System, stamp):
    tracker = system.start_tracker(use_sim_time=True, frame_buffer=0.1)  # and nobody publishes /clock
    client = system.client
    big = np.zeros((480, 640, 3), np.uint8)
    for _ in range(5):
        client.send_image(big, stamp)
        client.spin_for(0.05)
    memory = tracker.memory
    for _ in range(350):
        client.send_image(big, stamp)
        client.spin_for(0.01)
    assert tracker.memory - memory < 130e6, "350 images hold 322 MB"


def test_after_a_flood_of_inits_a_reset_forgets_at_once(system: System):
    system.start_tracker(tracker__image_sample_size=224)
    client = system.client
    client.track(FRAMES[0])
    for number in range(1500):
        client.send_init((BOXES[0][0] + number / 1000, *BOXES[0][1:]))
        if number % 50 == 0:
            client.send_image(FRAMES[0])
        client.executor_.spin_once(timeout_sec=0.001)
    assert client.call(Trigger, "tracker/reset", Trigger.Request()).success
    for index in range(5):
        state = client.track(FRAMES[index])
        assert state.state == TrackState.IDLE
    later = len(client.states)
    for index in range(20):
        client.send_image(FRAMES[index % 12])
        client.spin_for(0.1)
    assert {state.state for state in client.states[later:]} == {TrackState.IDLE}


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 1)])
def test_an_image_that_cannot_be_drawn_loses_no_target(system: System, shape):
    system.start_tracker()
    client = system.client
    markers = []
    client.create_subscription(Marker, "tracker/image_plane", markers.append, 100)
    client.spin_for(0.5)
    target = client.begin(FRAMES[0], BOXES[0]).target_id
    client.spin_until(lambda: markers)
    client.spin_for(0.3)
    client.track(np.zeros((*shape, 3), np.uint8))
    client.spin_for(0.3)
    assert client.track(FRAMES[1]).target_id == target


def test_an_image_that_cannot_be_decoded_lends_its_header_to_no_box(system: System):
    system.start_tracker(frame_buffer=5.0)
    client = system.client
    base = client.get_clock().now().nanoseconds - 10**9
    stamps = [base + index * 50_000_000 for index in range(6)]
    for index, stamp in enumerate(stamps[:5]):
        client.track(FRAMES[index], stamp)
    client.send_image(FRAMES[5], stamps[5], encoding="purple9")
    client.spin_for(0.3)
    before = len(client.states)
    client.send_init(BOXES[0], client.header(stamps[0]), "cup")
    client.spin_until(lambda: len(client.states) > before)
    assert client.states[-1].target_id == "cup"
    assert nanoseconds(client.states[-1].header.stamp) == stamps[4]


def test_an_init_without_any_image_is_answered(system: System):
    tracker = system.start_tracker()
    statuses = []
    client = system.client
    client.create_subscription(DiagnosticArray, "/diagnostics", lambda message: statuses.append(message.status[0]), 10)
    client.send_init(BOXES[0], client.header(), "cup")
    client.spin_until(lambda: "init refused (cup): no image has arrived" in tracker.output)
    client.spin_until(lambda: "no image has arrived on /image for" in tracker.output)
    client.spin_until(lambda: statuses and statuses[-1].level == DiagnosticStatus.WARN)
    assert "no image has arrived for" in statuses[-1].message
    client.spin_for(2.0)
    assert tracker.output.count("no image has arrived on /image") == 1, "once for each silence"
    client.track(FRAMES[0])
    client.spin_until(lambda: statuses[-1].level == DiagnosticStatus.OK)


def test_a_box_that_was_drawn_slowly_counts_where_the_target_has_stayed(system: System):
    system.start_tracker(frame_buffer=0.5)
    client = system.client
    first = client.send_image(FRAMES[0])
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        client.send_image(FRAMES[0])
        client.spin_for(0.05)
    stamp = nanoseconds(first.header.stamp) + 1_010_000_000  # in between two images, long gone
    client.send_init(BOXES[0], client.header(stamp), "cup")
    client.spin_until(lambda: client.states[-1].target_id == "cup")
    assert client.states[-1].state == TrackState.NORMAL


def test_a_box_that_was_drawn_slowly_is_refused_where_the_target_has_moved(system: System):
    tracker = system.start_tracker(frame_buffer=0.5)
    client = system.client
    first = client.send_image(FRAMES[0])
    end = time.monotonic() + 2.5
    shift = 0
    while time.monotonic() < end:
        client.send_image(np.roll(FRAMES[0], shift := shift + 11, axis=1))
        client.spin_for(0.05)
    stamp = nanoseconds(first.header.stamp) + 1_010_000_000
    client.send_init(BOXES[0], client.header(stamp), "cup")
    client.spin_until(lambda: "the target has moved since" in tracker.output)
    assert all(state.state == TrackState.IDLE for state in client.states)


def test_many_kinds_of_bad_images_make_few_warnings(system: System):
    tracker = system.start_tracker()
    statuses = []
    client = system.client
    client.create_subscription(DiagnosticArray, "/diagnostics", lambda message: statuses.append(message.status[0]), 10)
    for number in range(60):
        client.send_image(FRAMES[0], encoding=f"purple{number}")
        client.spin_for(0.02)
    client.spin_until(lambda: statuses and "purple59" in str(statuses[-1].values))
    assert tracker.output.count("image refused") <= 13
    assert client.track(FRAMES[1]).state == TrackState.IDLE


def test_an_id_without_end_is_refused(system: System):
    tracker = system.start_tracker()
    client = system.client
    client.track(FRAMES[0])
    client.inits.publish(Detection2D(id="x" * 200_000, bbox=box_message(Box(*BOXES[0]))))
    client.spin_until(lambda: "init refused" in tracker.output)
    assert len(tracker.output) < 20_000
    assert client.track(FRAMES[1]).state == TrackState.IDLE
