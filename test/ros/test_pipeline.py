"""Camera, tracker and consumer as processes: what arrives equals what the command `trdimp track` computes."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist, TwistStamped

from trdimp_ros.cli.main import main
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.msg import TrackState
from trdimp_ros.ros.messages import STATE_NUMBERS, box_message, box_of_message, nanoseconds
from trdimp_ros.testing.ros_harness import TINY_PARAMETERS, System
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Box, State, Tracker

FRAMES, BOXES = small_scene()
SEQUENCES = Path(os.environ.get("TRDIMP_SEQUENCES", Path(__file__).parents[3] / "shared" / "sequences"))
SUMMARY = re.compile(r"frames=(\d+) mean_iou=(\S+) drops=(\d+) latency_p50_ms=([\d.]+) latency_p99_ms=([\d.]+)")


def run_camera(system: System, **parameters) -> list[TrackState]:
    """Play a clip losslessly; returns the states that a third process received."""
    camera = system.start("camera", {"lockstep": True, "reliable": True, "rate": 200.0} | parameters)
    system.client.spin_until(lambda: camera.process.poll() is not None, timeout=180)
    assert camera.process.returncode == 0, camera.output
    summary = SUMMARY.search(camera.output)
    assert summary is not None, camera.output
    assert summary[3] == "0", "lockstep drops nothing"
    states = [state for state in system.client.states if state.state != TrackState.IDLE]
    assert int(summary[1]) == len(states)
    return states


def test_the_rendered_scene_arrives_as_computed_offline(system: System):
    system.start_tracker()
    states = run_camera(system, width=160, height=120)
    scene = RenderedScene(160, 120)
    tracker = Tracker(tiny_network(), tiny_config())
    tracker.initialize(scene.frame(0), scene.box(0))
    for index, state in enumerate(states[1:], start=1):
        expected = tracker.track(scene.frame(index))
        assert np.allclose(box_of_message(state.bbox), expected.box, atol=1e-4), f"frame {index}"
        assert state.state == STATE_NUMBERS[expected.state]
        assert state.distractor == (expected.state == State.HARD_NEGATIVE)


def test_the_scene_with_two_targets_is_summed_up_for_each_of_them(system: System):
    system.start_tracker(max_targets=2)
    camera = system.start(
        "camera",
        {"source": "two_targets", "lockstep": True, "reliable": True, "rate": 200.0, "width": 160, "height": 120},
    )
    system.client.spin_until(lambda: camera.process.poll() is not None, timeout=300)
    assert camera.process.returncode == 0, camera.output
    lines = [line for line in camera.output.splitlines() if line.startswith("target ")]
    assert [line.split(":")[0] for line in lines] == ["target 1", "target 2"]
    for name, line in zip("12", lines, strict=True):
        frames, _, drops, *_ = SUMMARY.search(line).groups()
        assert (frames, drops) == ("200", "0")
        stamps = {nanoseconds(state.header.stamp) for state in system.client.states if state.target_id == name}
        assert len(stamps) >= 200  # the first image is sent again where the tracker is slow to answer
    assert "found_again" not in lines[0], "it never leaves"
    assert re.search("found_again=[01]/1$", lines[1])


@pytest.mark.skipif(not SEQUENCES.is_dir(), reason="no real sequences beside this checkout")
def test_a_real_video_arrives_as_the_command_computes_it(system: System, tmp_path):
    sequence, table = SEQUENCES / "Crossing", tmp_path / "offline.csv"
    settings = [
        word
        for name, value in TINY_PARAMETERS.items()
        if name.startswith("tracker.")
        for word in ("--set", f"{name.removeprefix('tracker.')}={value}")
    ]
    truth = str(sequence / "groundtruth_rect.txt")
    command = [
        "track",
        str(sequence),
        "--truth",
        truth,
        "--weights",
        str(system._weights),
        "--csv",
        str(table),
        *settings,
    ]
    assert main(command) == 0
    system.start_tracker()
    states = run_camera(system, source=sequence)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == len(states)
    for row, state in zip(rows, states, strict=True):
        assert np.allclose([float(row[name]) for name in "xywh"], box_of_message(state.bbox), atol=1e-3)
        assert STATE_NUMBERS[State[row["state"].upper()]] == state.state


class TestFollow:
    @pytest.fixture
    def following(self, system: System):
        system.commands = []
        system.client.create_subscription(Twist, "cmd_vel", system.commands.append, 10)
        system.states = system.client.create_publisher(TrackState, "tracker/state", 10)
        system.follow = system.start("follow", {"hold_time": 0.3, "watchdog": 0.3})
        system.client.spin_until(lambda: system.states.get_subscription_count() > 1)  # the client listens too
        system.client.spin_until(lambda: system.client.count_publishers("cmd_vel") > 0)
        system.client.spin_for(0.3)
        return system

    @staticmethod
    def send(system: System, state: int = TrackState.NORMAL) -> None:
        system.states.publish(TrackState(state=state, bbox=box_message(Box(0, 200, 40, 60))))
        system.client.spin_for(0.05)

    def test_it_drives_while_states_come_and_stops_when_they_end(self, following: System):
        for _ in range(5):
            self.send(following)
        following.client.spin_until(lambda: following.commands)
        assert following.commands[-1].angular.z > 0
        assert following.commands[-1].linear.x > 0
        following.client.spin_until(lambda: following.commands[-1] == Twist(), timeout=5)

    def test_it_stops_when_the_target_is_lost(self, following: System):
        self.send(following)
        following.client.spin_until(lambda: following.commands)
        for _ in range(40):
            self.send(following, TrackState.NOT_FOUND)
            if following.commands[-1] == Twist():
                break
        assert following.commands[-1] == Twist()

    def test_it_stops_at_shutdown(self, following: System):
        self.send(following)
        following.client.spin_until(lambda: following.commands and following.commands[-1] != Twist())
        assert following.follow.interrupt(timeout=3.0) == 0
        following.client.spin_until(lambda: following.commands[-1] == Twist(), timeout=5)

    def test_gains_change_while_it_runs_and_bad_ones_are_refused(self, following: System):
        client = following.client
        assert client.set_parameters("follow", turn_gain=0.0, drive_gain=0.0) == (True, "")
        self.send(following)
        client.spin_until(lambda: following.commands)
        assert following.commands[-1] == Twist()
        done, reason = client.set_parameters("follow", turn_gain=0.5, max_turn=-1.0)
        assert not done
        assert "max_turn" in reason
        assert client.get_parameter_value("turn_gain", "follow").double_value == 0.0

    def test_stamped_commands(self, system: System):
        commands = []
        system.client.create_subscription(TwistStamped, "cmd_vel", commands.append, 10)
        states = system.client.create_publisher(TrackState, "tracker/state", 10)
        system.start("follow", {"stamped": True})
        system.client.spin_until(lambda: states.get_subscription_count() > 1)
        system.client.spin_for(0.3)
        states.publish(TrackState(state=TrackState.NORMAL, bbox=box_message(Box(0, 200, 40, 60))))
        system.client.spin_until(lambda: commands)
        assert commands[0].header.frame_id == "base_link"
