"""What a camera or a user can do wrong must neither end the node nor touch a running target."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.messages import nanoseconds
from trdimp_ros.testing.ros_harness import System, running_system
from trdimp_ros.testing.tiny import small_scene

FRAMES, BOXES = small_scene()


@pytest.fixture(scope="module")
def shared_system(tmp_path_factory, tiny_weights):
    """One tracker for all cases of this file: what one of them broke, the next would find."""
    with running_system(tmp_path_factory.mktemp("stress"), tiny_weights) as system:
        system.tracker = system.start_tracker()
        system.target = system.client.begin(FRAMES[0], BOXES[0]).target_id
        yield system


@pytest.fixture
def tracking(shared_system: System) -> System:
    shared_system.seen = len(shared_system.tracker.output)
    return shared_system


def new_output(system: System) -> str:
    """What the node has written during this test."""
    return system.tracker.output[system.seen :]


def assert_still_tracking(system: System) -> None:
    assert system.tracker.process.poll() is None, system.tracker.output
    state = system.client.track(FRAMES[3])
    assert state.target_id == system.target
    assert state.state == TrackState.NORMAL


BAD_BOXES = {
    "nan": (math.nan, 0, 10, 10),
    "infinite": (0, 0, math.inf, 10),
    "negative size": (10, 10, -5, 5),
    "empty": (10, 10, 0, 0),
    "outside": (1000, 1000, 10, 10),
    "huge": (0, 0, 1e12, 1e12),
}


@pytest.mark.parametrize("box", BAD_BOXES.values(), ids=BAD_BOXES.keys())
def test_a_bad_init_box_is_refused_with_a_reason(tracking: System, box):
    tracking.client.send_init(box)
    tracking.client.spin_until(lambda: "init refused" in new_output(tracking))
    assert_still_tracking(tracking)


def test_an_init_for_an_image_long_gone_is_refused(tracking: System):
    client = tracking.client
    client.send_init((10, 10, 20, 20), client.header(1_000_000_000))
    client.spin_for(1.2)
    client.track(FRAMES[1])
    client.spin_until(lambda: "raise frame_buffer" in new_output(tracking))
    assert_still_tracking(tracking)


def bad_image(**changes) -> Image:
    message = encode_image(FRAMES[1], "rgb8", Header())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


BAD_IMAGES = {
    "unknown encoding": {"encoding": "purple9"},
    "no size": {"height": 0, "width": 0},
    "step too small": {"step": 7},
    "not enough data": {"height": 4000},
    "no data": {"data": b""},
    "depth": {"encoding": "32FC1"},
}


@pytest.mark.parametrize("changes", BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_a_bad_image_is_dropped_and_said_once(tracking: System, changes):
    for _ in range(3):
        tracking.client.images.publish(bad_image(**changes))
        tracking.client.spin_for(0.1)
    tracking.client.spin_until(lambda: "image refused" in new_output(tracking))
    assert new_output(tracking).count("image refused") == 1
    assert_still_tracking(tracking)


def test_size_and_encoding_may_change_mid_stream(tracking: System):
    client = tracking.client
    grey = FRAMES[1].mean(axis=2).astype(np.uint8)
    for pixels, encoding in (
        (FRAMES[1][:90], "rgb8"),
        (grey, "mono8"),
        (np.tile(FRAMES[2], (2, 2, 1)), "bgr8"),
        (np.dstack([FRAMES[1], grey]), "rgba8"),
    ):
        message = client.send_image(pixels, encoding=encoding)
        client.spin_until(lambda stamp=message.header.stamp: client.states[-1].header.stamp == stamp)
        assert client.states[-1].target_id == tracking.target
    assert_still_tracking(tracking)


def test_zero_stamps_work_and_have_no_latency(tracking: System):
    client = tracking.client
    count = len(client.states)
    client.send_image(FRAMES[1], stamp=0)
    client.spin_until(lambda: len(client.states) > count)
    assert nanoseconds(client.states[-1].header.stamp) == 0
    assert nanoseconds(client.states[-1].latency) == 0
    assert_still_tracking(tracking)


def test_time_that_goes_backwards_is_said_once(tracking: System):
    for stamp in (50, 40, 60, 30):
        tracking.client.track(FRAMES[1], stamp * 10**9)
    assert tracking.tracker.output.count("went backwards") == 1
    assert_still_tracking(tracking)


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.floats(-300, 300))
encodings = st.sampled_from(
    ["rgb8", "bgr8", "mono8", "mono16", "bgra8", "yuv422", "yuv422_yuy2", "bayer_rggb8", "32FC1", "8UC2", "", "x"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    encodings, st.integers(0, 70), st.integers(0, 70), st.integers(0, 400), st.binary(max_size=3000),
    st.integers(0, 2**31 - 1), st.booleans(),
)  # fmt: skip
def test_no_image_ends_the_node(shared_system, encoding, width, height, step, data, seconds, bigendian):
    header = Header()
    header.stamp.sec = seconds
    message = Image(header=header, width=width, height=height, step=step, encoding=encoding, is_bigendian=bigendian)
    message.data = data
    shared_system.client.images.publish(message)
    shared_system.client.spin_for(0.02)
    assert shared_system.tracker.process.poll() is None, shared_system.tracker.output


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(numbers, numbers, numbers, numbers), st.sampled_from([1, 5 * 10**9, 2**31 * 10**9 - 1]))
def test_no_init_for_an_unknown_image_touches_the_target(shared_system, box, stamp):
    shared_system.client.send_init(box, shared_system.client.header(stamp))
    shared_system.client.spin_for(0.02)
    assert shared_system.tracker.process.poll() is None, shared_system.tracker.output


def test_after_the_fuzzing_the_target_is_still_there(shared_system):
    assert shared_system.client.track(FRAMES[1]).target_id == shared_system.target
    assert "failed" not in shared_system.tracker.output
