"""The tracker node over real DDS, in a process of its own."""

from __future__ import annotations

import time

import numpy as np
import pytest
from geometry_msgs.msg import Point, PointStamped
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2D, Detection2DArray
from visualization_msgs.msg import Marker

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_plane import point_of_pixel
from trdimp_ros.ros.messages import box_of_message, nanoseconds
from trdimp_ros.testing.ros_harness import System
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Tracker
from trdimp_ros.tracking.geometry import intersection_over_union

FRAMES, BOXES = small_scene()


def offline(frames, box, **changes):
    tracker = Tracker(tiny_network(), tiny_config(**changes))
    tracker.initialize(frames[0], box)
    return [tracker.track(frame) for frame in frames[1:]]


def test_an_init_box_comes_back_unchanged_and_tracking_equals_the_library(system: System):
    system.start_tracker()
    client = system.client
    first = client.begin(FRAMES[0], BOXES[0], "cup")
    assert first.target_id == "cup"
    assert first.state == TrackState.NORMAL
    assert np.allclose(box_of_message(first.bbox), BOXES[0], atol=1e-9)
    for frame, expected in zip(FRAMES[1:], offline(FRAMES, BOXES[0]), strict=True):
        state = client.track(frame)
        assert np.allclose(box_of_message(state.bbox), expected.box, atol=1e-5)
        assert state.confidence == pytest.approx(expected.confidence, abs=1e-5)
        assert state.frames_since_found == 0
        assert nanoseconds(state.latency) > 0


def test_without_target_the_state_is_idle(system: System):
    system.start_tracker()
    state = system.client.track(FRAMES[0])
    assert state.state == TrackState.IDLE
    assert state.target_id == ""


def test_detections_follow_the_state(system: System):
    system.start_tracker()
    client = system.client
    single, several = [], []
    client.create_subscription(Detection2D, "tracker/detection", single.append, 10)
    client.create_subscription(Detection2DArray, "tracker/detections", several.append, 10)
    client.spin_until(lambda: client.count_publishers("tracker/detections") > 0)
    client.spin_for(0.5)
    client.begin(FRAMES[0], BOXES[0], "cup")
    state = client.track(FRAMES[1])
    client.spin_until(lambda: len(single) == 2 and several[-1].header == state.header)
    assert single[-1].id == "cup"
    assert single[-1].results[0].hypothesis.class_id == "target"
    assert single[-1].results[0].hypothesis.score == pytest.approx(min(max(state.confidence, 0), 1))
    assert single[-1].header == state.header
    assert single[-1].bbox == state.bbox
    # Lost: no detection, an empty array, and the last box in the state.
    assert client.set_parameters(tracker__target_not_found_threshold=2.0) == (True, "")
    lost = client.track(FRAMES[2])
    client.spin_until(lambda: several[-1].header == lost.header)
    assert lost.state == TrackState.NOT_FOUND
    assert lost.frames_since_found == 1
    assert lost.bbox == state.bbox
    assert not several[-1].detections
    assert len(single) == 2


def test_init_by_region_of_interest_and_restart(system: System):
    system.start_tracker()
    client = system.client
    roi = client.create_publisher(RegionOfInterest, "tracker/init_roi", 10)
    client.spin_until(roi.get_subscription_count)
    client.track(FRAMES[0])
    roi.publish(RegionOfInterest(x_offset=30, y_offset=40, width=25, height=20))
    client.spin_until(lambda: client.states[-1].state == TrackState.NORMAL)
    assert np.allclose(box_of_message(client.states[-1].bbox), (30, 40, 25, 20))
    first_id = client.states[-1].target_id
    roi.publish(RegionOfInterest(x_offset=60, y_offset=40, width=25, height=20))
    client.spin_until(lambda: client.states[-1].target_id != first_id)


@pytest.mark.parametrize("tool", ["rviz", "rqt"])
def test_two_clicks_make_a_target(system: System, tool):
    system.start_tracker()
    client = system.client
    if tool == "rviz":
        clicks = client.create_publisher(PointStamped, "/clicked_point", 10)

        def click(x, y, frame="tracker_image_plane"):
            message = PointStamped(point=point_of_pixel(x, y))
            message.header.frame_id = frame
            clicks.publish(message)
    else:
        clicks = client.create_publisher(Point, "image_mouse_left", 10)

        def click(x, y):
            clicks.publish(Point(x=float(x), y=float(y)))

    client.spin_until(clicks.get_subscription_count)
    client.track(FRAMES[0])
    if tool == "rviz":
        click(1, 1, frame="map")  # somebody else's click
        client.spin_for(0.2)
    x, y, w, h = BOXES[0]
    click(x + w, y)
    client.spin_for(0.2)
    click(x, y + h)
    client.spin_until(lambda: client.states[-1].state == TrackState.NORMAL)
    assert np.allclose(box_of_message(client.states[-1].bbox), BOXES[0], atol=1e-6)
    assert client.track(FRAMES[1]).state == TrackState.NORMAL


def test_a_box_for_a_past_image_catches_up(system: System):
    system.start_tracker(frame_buffer=5.0)
    client = system.client
    stamps = []
    start = client.get_clock().now().nanoseconds - int(0.5e9)
    for index, frame in enumerate(FRAMES[:10]):
        stamps.append(start + index * 50_000_000)
        client.track(frame, stamps[-1])
    before = len(client.states)
    client.send_init(BOXES[0], client.header(stamps[0]))
    client.spin_until(lambda: len(client.states) > before)
    caught_up = client.states[-1]
    assert nanoseconds(caught_up.header.stamp) == stamps[-1]
    expected = offline(FRAMES[:10], BOXES[0])[-1]
    assert intersection_over_union(box_of_message(caught_up.bbox), expected.box) > 0.95


def test_an_init_that_comes_before_its_image_waits_for_it(system: System):
    system.start_tracker()
    client = system.client
    header = client.header()
    client.send_init(BOXES[0], header)
    client.spin_for(0.3)
    state = client.track(FRAMES[0], nanoseconds(header.stamp))
    assert state.state == TrackState.NORMAL


def test_reset_and_pause(system: System):
    system.start_tracker()
    client = system.client
    client.begin(FRAMES[0], BOXES[0])
    assert client.call(SetBool, "tracker/set_enabled", SetBool.Request(data=False)).success
    count = len(client.states)
    client.send_image(FRAMES[1])
    client.spin_for(0.5)
    assert len(client.states) == count
    assert client.call(SetBool, "tracker/set_enabled", SetBool.Request(data=True)).success
    assert client.track(FRAMES[2]).state == TrackState.NORMAL
    assert client.call(Trigger, "tracker/reset", Trigger.Request()).success
    assert client.track(FRAMES[3]).state == TrackState.IDLE


def test_pictures_are_published_while_somebody_looks(system: System):
    system.start_tracker()
    client = system.client
    debug, scores, markers = [], [], []
    client.create_subscription(Image, "tracker/debug_image", debug.append, 1)
    client.create_subscription(Image, "tracker/score_map", scores.append, 1)
    client.create_subscription(Marker, "tracker/image_plane", markers.append, 100)
    client.spin_for(0.5)
    client.begin(FRAMES[0], BOXES[0])
    for frame in FRAMES[1:4]:
        client.track(frame)
        client.spin_for(0.25)
    client.spin_until(lambda: debug and scores and len(markers) >= 2)
    assert (debug[-1].width, debug[-1].height, debug[-1].encoding) == (160, 120, "rgb8")
    assert (scores[-1].width, scores[-1].height, scores[-1].encoding) == (7, 7, "32FC1")
    peak = np.frombuffer(scores[-1].data, np.float32).max()
    assert any(state.confidence == pytest.approx(float(peak)) for state in client.states)
    plane = next(marker for marker in markers if marker.ns == "image" and marker.action == Marker.ADD)
    box = next(marker for marker in reversed(markers) if marker.ns == "box" and marker.action == Marker.ADD)
    assert plane.header.frame_id == box.header.frame_id == "tracker_image_plane"
    assert plane.texture.format == "png"
    assert max(point.x for point in plane.points) == pytest.approx(0.160)
    assert min(point.y for point in plane.points) == pytest.approx(-0.120)


def test_compressed_images(system: System):
    import cv2  # noqa: PLC0415

    system.start_tracker(active=False, image_transport="compressed")
    client = system.client
    images = client.create_publisher(CompressedImage, "image/compressed", 1)
    client.spin_until(images.get_subscription_count)
    client.spin_until(client.inits.get_subscription_count)
    client.spin_for(0.3)
    for index, frame in enumerate(FRAMES[:3]):
        encoded = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
        message = CompressedImage(header=client.header(), format="png", data=encoded)
        images.publish(message)
        if index == 0:
            client.send_init(BOXES[0], message.header)
        count = len(client.states)
        client.spin_until(lambda count=count: len(client.states) > count)
    expected = offline(FRAMES[:3], BOXES[0])[-1]
    assert np.allclose(box_of_message(client.states[-1].bbox), expected.box, atol=1e-5)


def test_the_target_survives_a_killed_camera(system: System):
    system.start_tracker()
    camera = system.start("camera", {"rate": 20.0, "width": 160, "height": 120, "loop": True})
    client = system.client
    client.spin_until(lambda: sum(state.state == TrackState.NORMAL for state in client.states) > 5)
    target = client.states[-1].target_id
    camera.kill()
    client.spin_for(0.5)
    count = len(client.states)
    system.start("camera", {"rate": 20.0, "width": 160, "height": 120, "loop": True, "initialize": False})
    client.spin_until(lambda: len(client.states) > count + 5)
    assert client.states[-1].target_id == target
    assert client.states[-1].state != TrackState.IDLE


def test_a_fast_camera_drops_frames_counts_them_and_stays_current(system: System):
    from diagnostic_msgs.msg import DiagnosticArray  # noqa: PLC0415

    tracker = system.start_tracker(tracker__image_sample_size=352, model__threads=1)
    client = system.client
    diagnostics = []
    client.create_subscription(DiagnosticArray, "/diagnostics", diagnostics.append, 10)
    client.begin(FRAMES[0], BOXES[0])
    client.track(FRAMES[1])
    memory = tracker.memory
    before, sent = len(client.states), 0
    end = time.monotonic() + 4.0
    while time.monotonic() < end:
        client.send_image(FRAMES[sent % len(FRAMES)])
        sent += 1
        client.spin_for(1 / 60)
    client.spin_for(1.5)
    results = len(client.states) - before
    assert 0 < results < sent
    values = {pair.key: pair.value for pair in diagnostics[-1].status[0].values}
    assert values["threads"] == "1"
    received, dropped = int(values["images received"]), int(values["images dropped"])
    assert int(values["images processed"]) + dropped == received
    assert received <= sent + 2
    latencies = [
        (arrival - nanoseconds(state.header.stamp)) / 1e9
        for arrival, state in zip(client.arrivals[before:], client.states[before:], strict=True)
    ]
    period = 4.0 / results
    # A queue of old images would be seconds behind at the end; the exact figure is in docs/benchmarks.md.
    assert np.median(latencies[-10:]) < 3 * period + 0.5
    assert tracker.memory - memory < 60e6
    assert {"latency p50 ms", "latency p99 ms", "stage backbone ms", "weights SHA-256", "device"} <= set(values)
