"""The node `follow`, and the example control node, as processes over DDS: they stop when in doubt."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from geometry_msgs.msg import Twist
from rosgraph_msgs.msg import Clock

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.follow_control import FollowGains, follow
from trdimp_ros.ros.messages import box_message
from trdimp_ros.testing.ros_harness import System
from trdimp_ros.tracking import Box

EXAMPLE = Path(__file__).parents[2] / "examples" / "turn_to_target.py"
LEFT, RIGHT = Box(0, 200, 40, 60), Box(600, 200, 40, 60)
SECOND = 10**9


class Robot:
    """Sends states, and the time where a simulation is meant, and hears the commands."""

    def __init__(self, system: System) -> None:
        self.system, self.client = system, system.client
        self.commands: list[Twist] = []
        self.client.create_subscription(Twist, "cmd_vel", self.commands.append, 100)
        self.states = self.client.create_publisher(TrackState, "tracker/state", 50)
        self.clock = self.client.create_publisher(Clock, "/clock", 10)

    def start(self, **parameters):
        process = self.system.start("follow", parameters)
        self.wait_for_node()
        return process

    def wait_for_node(self) -> None:
        self.client.spin_until(lambda: self.states.get_subscription_count() > 1)  # the client listens too
        self.client.spin_until(lambda: self.client.count_publishers("cmd_vel") > 0)
        self.client.spin_for(0.5)

    def send(self, box: Box = LEFT, target: str = "", stamp: float = 0.0, state: int = TrackState.NORMAL) -> None:
        message = TrackState(state=state, bbox=box_message(box), target_id=target)
        message.header = self.client.header(round(stamp * SECOND))
        self.states.publish(message)
        self.client.spin_for(0.05)

    def tell_time(self, seconds: float) -> None:
        for _ in range(3):
            self.clock.publish(Clock(clock=self.client.header(round(seconds * SECOND)).stamp))
            self.client.spin_for(0.1)

    @property
    def moving(self) -> bool:
        return bool(self.commands) and self.commands[-1] != Twist()

    def drive(self, **how) -> None:
        """Send states until the robot moves."""

        def moving() -> bool:
            self.send(**how)
            return self.moving

        self.client.spin_until(moving, timeout=20)

    def wait_for_stop(self) -> None:
        self.client.spin_until(lambda: not self.moving, timeout=10)


@pytest.fixture
def robot(system: System) -> Robot:
    return Robot(system)


def test_it_stops_when_a_simulations_clock_jumps_back_and_states_end(robot: Robot):
    robot.start(use_sim_time=True)
    robot.tell_time(100.0)
    robot.drive()
    robot.tell_time(10.0)
    robot.wait_for_stop()


def test_it_stops_when_a_simulations_clock_stands_still_and_states_end(robot: Robot):
    robot.start(use_sim_time=True)
    robot.tell_time(100.0)
    robot.drive()
    robot.wait_for_stop()


@pytest.mark.parametrize("later", [10.0, 200.0])
def test_it_stops_for_images_from_the_future_and_from_long_ago(robot: Robot, later):
    follow_node = robot.start(use_sim_time=True)
    robot.tell_time(100.0)
    robot.drive(stamp=99.9)
    robot.tell_time(later)
    robot.client.spin_until(lambda: robot.send(stamp=100.0) or not robot.moving, timeout=10)
    for _ in range(5):
        robot.send(stamp=100.0)
    assert not robot.moving
    assert "s old by this node's clock" in follow_node.output


def test_stamps_of_another_clock_can_be_left_out_of_account(robot: Robot):
    robot.start(max_age=0.0)
    robot.drive(stamp=5.0)


@pytest.mark.parametrize(
    "box",
    [
        Box(math.nan, 0, 40, 60),
        Box(0, 0, math.nan, 60),
        Box(0, 0, 40, math.nan),
        Box(math.inf, 0, 40, 60),
        Box(0, 0, 40, math.inf),
        Box(-math.inf, 0, math.inf, 60),
        Box(0, 200, 0, 0),
        Box(0, 200, -40, 60),
        Box(1e308, 0, 1.7e308, 60),
    ],
)
def test_no_number_is_made_of_a_box_that_says_nothing(box):
    with pytest.raises(ValueError, match="no box to drive by"):
        follow(box, 640, 480, FollowGains())


def test_a_box_that_says_nothing_stops_the_robot(robot: Robot):
    robot.start(hold_time=30.0, watchdog=30.0)
    robot.drive()
    robot.send(Box(math.nan, 0, 40, 60))
    robot.wait_for_stop()
    for box in (Box(0, 0, math.inf, 60), Box(0, 0, 0, 0), Box(0, math.nan, 1, 1)):
        robot.send(box)
    assert not robot.moving
    assert all(math.isfinite(one.linear.x) and math.isfinite(one.angular.z) for one in robot.commands)


def test_it_stops_at_once_when_the_tracker_has_no_target(robot: Robot):
    robot.start(hold_time=30.0, watchdog=30.0)
    robot.drive()
    robot.send(state=TrackState.IDLE)
    robot.wait_for_stop()


def test_it_follows_the_target_that_it_is_told_to(robot: Robot):
    robot.start(target_id="ball", watchdog=30.0)
    for _ in range(5):
        robot.send(LEFT, "cup")
    assert not robot.commands
    robot.drive(box=RIGHT, target="ball")
    robot.send(LEFT, "cup")
    assert robot.commands[-1].angular.z < 0
    assert robot.client.set_parameters("follow", target_id="cup") == (True, "")
    robot.wait_for_stop()
    robot.drive(box=LEFT, target="cup")
    assert robot.commands[-1].angular.z > 0


def test_with_no_id_it_stays_with_the_first_target(robot: Robot):
    robot.start(watchdog=2.0)
    robot.drive(box=LEFT, target="cup")
    for _ in range(5):
        robot.send(LEFT, "cup")
        robot.send(RIGHT, "ball")
    assert all(command.angular.z > 0 for command in robot.commands)
    robot.client.spin_until(lambda: robot.send(RIGHT, "ball") or robot.commands[-1].angular.z < 0, timeout=20)
    assert any(command == Twist() for command in robot.commands), "it stood before it turned to another target"


def test_a_change_of_a_gain_does_not_stop_it(robot: Robot):
    robot.start(hold_time=30.0, watchdog=30.0)
    robot.drive(target="cup")
    assert robot.client.set_parameters("follow", turn_gain=0.5) == (True, "")
    robot.send(target="cup")
    assert robot.moving
    assert Twist() not in robot.commands


def test_a_second_sigint_does_not_cut_the_stop_off(robot: Robot):
    follow_node = robot.start(hold_time=30.0, watchdog=30.0)
    robot.drive()
    end = time.monotonic() + 10.0
    while follow_node.process.poll() is None and time.monotonic() < end:
        follow_node.process.send_signal(signal.SIGINT)
        time.sleep(0.003)  # so that one comes in every step of the end
    assert follow_node.process.returncode == 0
    robot.wait_for_stop()
    assert "Traceback" not in follow_node.output


class TestExample:
    @pytest.fixture
    def example(self, robot: Robot, tmp_path):
        environment = os.environ | {"ROS_DOMAIN_ID": str(robot.system.domain)}
        with (tmp_path / "example.log").open("w") as log:
            process = subprocess.Popen([sys.executable, EXAMPLE], env=environment, stdout=log, stderr=log)
        robot.wait_for_node()
        yield process
        process.kill()
        process.wait()

    def test_it_stops_when_states_end(self, robot: Robot, example):
        robot.drive()
        robot.wait_for_stop()

    @pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM]])
    def test_it_stops_at_the_end(self, robot: Robot, example, signals, tmp_path):
        robot.drive()
        for number in signals:
            example.send_signal(number)
        assert example.wait(10) == 0
        robot.wait_for_stop()
        assert "Traceback" not in (tmp_path / "example.log").read_text()
