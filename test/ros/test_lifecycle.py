"""Transitions, start-up failures and clean ends of the nodes."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition

from trdimp_ros.checkpoints.weights import BUNDLED_WEIGHTS
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.msg import TrackState
from trdimp_ros.testing.ros_harness import System
from trdimp_ros.testing.tiny import small_scene

FRAMES, BOXES = small_scene()
UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = (
    State.PRIMARY_STATE_UNCONFIGURED,
    State.PRIMARY_STATE_INACTIVE,
    State.PRIMARY_STATE_ACTIVE,
    State.PRIMARY_STATE_FINALIZED,
)


def test_every_transition_twice_in_a_row(system: System):
    system.start_tracker(active=False, autostart=False)
    client = system.client
    client.wait_for_state(UNCONFIGURED)
    for _ in range(2):
        assert client.change_state(Transition.TRANSITION_CONFIGURE)
        assert client.lifecycle_state() == INACTIVE
        for _ in range(2):
            assert client.change_state(Transition.TRANSITION_ACTIVATE)
            assert client.lifecycle_state() == ACTIVE
            client.spin_until(client.images.get_subscription_count)
            client.spin_until(client.inits.get_subscription_count)
            client.spin_for(0.3)
            assert client.begin(FRAMES[0], BOXES[0]).state == TrackState.NORMAL
            assert client.change_state(Transition.TRANSITION_DEACTIVATE)
            assert client.lifecycle_state() == INACTIVE
        assert client.change_state(Transition.TRANSITION_CLEANUP)
        assert client.lifecycle_state() == UNCONFIGURED
    assert client.change_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert client.lifecycle_state() == FINALIZED


def test_without_any_parameter_the_node_tracks_with_the_bundled_weights(system: System):
    scene = RenderedScene(320, 240)
    process = system.start("tracker")
    client = system.client
    client.wait_for_state(ACTIVE)
    client.spin_until(client.images.get_subscription_count)
    client.spin_until(client.inits.get_subscription_count)
    client.spin_until(lambda: client.count_publishers("tracker/state") > 0)
    client.spin_for(0.3)
    client.begin(scene.frame(0), tuple(scene.box(0)))
    for index in range(1, 6):
        state = client.track(scene.frame(index))
        assert state.state == TrackState.NORMAL
        center, truth = state.bbox.center.position, scene.box(index)
        assert abs(center.x - truth.x - truth.w / 2) < truth.w / 4
        assert abs(center.y - truth.y - truth.h / 2) < truth.h / 4
    assert "weights compact.safetensors" in process.output
    assert "untrained" not in process.output


def test_weights_under_another_preset_are_noticed(system: System):
    process = system.start("tracker", {"preset": "trsiam", "model.weights": BUNDLED_WEIGHTS})
    system.client.wait_for_state(ACTIVE)
    assert "are meant for preset compact, tracking with preset trsiam" in process.output


def test_the_target_is_kept_while_inactive(system: System):
    system.start_tracker()
    client = system.client
    target = client.begin(FRAMES[0], BOXES[0]).target_id
    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
    count = len(client.states)
    client.send_image(FRAMES[1])
    client.spin_for(0.4)
    assert len(client.states) == count
    assert client.change_state(Transition.TRANSITION_ACTIVATE)
    client.spin_until(client.images.get_subscription_count)
    client.spin_for(0.3)
    assert client.track(FRAMES[2]).target_id == target


def test_shutdown_from_active(system: System):
    system.start_tracker()
    assert system.client.change_state(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert system.client.lifecycle_state() == FINALIZED


@pytest.mark.parametrize("problem", ["missing", "damaged"])
def test_a_failed_configure_stays_unconfigured_with_one_clear_line(system: System, tmp_path, problem):
    weights = tmp_path / "broken.safetensors"
    if problem == "damaged":
        weights.write_bytes(b"\x08\x00\x00\x00")
    tracker = system.start_tracker(active=False, model__weights=weights)
    client = system.client
    client.spin_until(lambda: "configure failed" in tracker.output)
    assert client.lifecycle_state() == UNCONFIGURED
    errors = [line for line in tracker.output.splitlines() if "ERROR" in line]
    assert len(errors) == 1
    assert "broken.safetensors" in errors[0]
    assert ("does not exist" if problem == "missing" else "damaged") in errors[0]
    # Mended by a parameter, without a restart.
    assert client.set_parameters(model__weights=str(system._weights)) == (True, "")
    assert client.change_state(Transition.TRANSITION_CONFIGURE)


def test_an_unknown_device_fails_configure(system: System):
    tracker = system.start_tracker(active=False, model__device="cuda:7")
    system.client.spin_until(lambda: "configure failed" in tracker.output)
    assert "cuda:7" in tracker.output
    assert system.client.lifecycle_state() == UNCONFIGURED


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tracker.learning_rate": 5.0}, "learning_rate"),
        ({"tracker.learning_rate": 1}, "write 1.0, not 1"),
        ({"preset": "fast"}, "trdimp_vot"),
        ({"tracker.image_sample_size": 97}, "multiple of 16"),
        ({"max_targets": 33}, "max_targets"),
    ],
)
def test_a_bad_start_up_parameter_ends_the_node_with_a_reason(system: System, parameters, message):
    process = system.start("tracker", parameters)
    assert process.process.wait(30) == 2
    assert message in process.output


@pytest.mark.parametrize("name", ["tracker", "follow", "camera"])
def test_sigint_ends_a_node_cleanly_within_three_seconds(system: System, name):
    if name == "tracker":
        process = system.start_tracker()
        system.client.begin(FRAMES[0], BOXES[0])
    else:
        process = system.start(name, {"initialize": False} if name == "camera" else {})
        system.client.spin_until(lambda: any(node == name for node in system.client.get_node_names()))
    assert process.interrupt(timeout=3.0) == 0
    assert "Traceback" not in process.output


def test_sigint_does_not_wait_for_a_long_initialisation(system: System):
    process = system.start("tracker", {"model.weights": "''"})  # the full network, which needs seconds for it
    client = system.client
    client.spin_until(lambda: "active" in process.output)
    client.spin_until(client.inits.get_subscription_count)
    client.spin_until(client.images.get_subscription_count)
    client.spin_for(0.3)
    message = client.send_image(FRAMES[0])
    client.send_init(BOXES[0], message.header)
    client.spin_until(lambda: "init: x=" in process.output)
    assert process.interrupt(timeout=3.0) == 0
    assert "Traceback" not in process.output


def test_a_second_sigint_does_not_cut_off_the_end(system: System):
    process = system.start("tracker", {"model.weights": "''"})  # busy for seconds with an initialisation
    client = system.client
    client.spin_until(lambda: "active" in process.output)
    client.spin_until(client.inits.get_subscription_count)
    client.spin_until(client.images.get_subscription_count)
    client.spin_for(0.3)
    message = client.send_image(FRAMES[0])
    client.send_init(BOXES[0], message.header)
    client.spin_until(lambda: "init: x=" in process.output)
    for _ in range(4):
        process.process.send_signal(signal.SIGINT)
        client.spin_for(0.1)
    assert process.process.wait(10) == 0
    assert "Traceback" not in process.output


def test_a_failed_configure_shows_in_the_diagnostics(system: System, tmp_path):
    statuses = []
    system.client.create_subscription(
        DiagnosticArray, "/diagnostics", lambda message: statuses.append(message.status[0]), 10
    )
    system.start_tracker(active=False, model__weights=tmp_path / "nowhere.safetensors")
    system.client.spin_until(lambda: statuses and statuses[-1].level == DiagnosticStatus.ERROR)
    assert "nowhere.safetensors" in statuses[-1].message
    assert system.client.set_parameters(model__weights=str(system._weights)) == (True, "")
    assert system.client.change_state(Transition.TRANSITION_CONFIGURE)
    system.client.spin_until(lambda: statuses[-1].level == DiagnosticStatus.OK)


def test_select_without_display_says_so(system: System):
    process = system.start("select")
    assert process.process.wait(30) != 0
    assert "no display" in process.output
    assert "Traceback" not in process.output


def test_a_camera_without_source_says_so(system: System):
    process = system.start("camera", {"source": "/nowhere/clip.mp4"})
    assert process.process.wait(30) == 2
    assert "/nowhere/clip.mp4" in process.output


def test_the_node_modules_import_without_a_graph():
    code = "import trdimp_ros.ros.tracker_node, trdimp_ros.ros.select_node, rclpy; assert not rclpy.ok()"
    subprocess.run([sys.executable, "-c", code], check=True)
