"""The node `follow`: drives so that the target stays in the middle of the image and keeps its size."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration

from trdimp_ros.msg import TrackState
from trdimp_ros.parameters import parameter
from trdimp_ros.ros.follow_control import FollowGains, follow
from trdimp_ros.ros.messages import box_of_message, nanoseconds
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.running import run_node

WATCHDOG_PERIOD = 0.05
NEVER = float("-inf")

STATE_DEPTH = 50
"""States of several targets come in one go; none of the followed one may be pushed out."""

CLOCK_DIFFERENCE = 0.1
"""Seconds that an image's stamp may lie in the future: the clocks of two machines are never quite the same."""

DELIVERY_SECONDS = 0.5
"""How long the last stop is given to arrive before the node leaves the graph."""


@dataclass(frozen=True)
class FollowParameters(FollowGains):
    """The parameters of the node."""

    target_id: str = parameter("", "Id of the target that is followed; empty: the first one that is heard of.")
    stamped: bool = parameter(False, "Publish TwistStamped instead of Twist; read at the start.", dynamic=False)
    frame_id: str = parameter("base_link", "Frame of the TwistStamped.")
    image_width: int = parameter(640, "Width of the image in pixels.", 1, 65536)
    image_height: int = parameter(480, "Height of the image in pixels.", 1, 65536)
    hold_time: float = parameter(
        0.5, "Seconds without a normal state after which the robot stops.", maximum=60.0, above=0.0
    )
    watchdog: float = parameter(
        0.5, "Seconds without any state of the target after which the robot stops.", maximum=60.0, above=0.0
    )
    max_age: float = parameter(
        1.0,
        "Oldest image, in seconds since its stamp, that the robot drives by; it stops for an older one and for one "
        "from the future. 0: stamps are not looked at, for cameras whose clock is not the node's.",
        0.0,
        60.0,
    )


class FollowNode(ParameterNode[FollowParameters]):
    """`tracker/state` in, `cmd_vel` out. Stops when in doubt.

    Silence and doubt are timed by the monotonic clock, whatever the ROS time does: it can stand still or jump back.
    """

    def __init__(self) -> None:
        super().__init__("follow", lambda given: FollowParameters())
        self._stamped = self.parameters.stamped
        self._commands = self.create_publisher(TwistStamped if self._stamped else Twist, "cmd_vel", 10)
        self._wanted = self.parameters.target_id
        self._followed: str | None = None
        self._last_state = self._last_normal = NEVER
        self._moving = False
        self.create_subscription(TrackState, "tracker/state", self._on_state, STATE_DEPTH)
        # A timer of the node's own clock would stand still with it.
        self.create_timer(WATCHDOG_PERIOD, self._on_watchdog, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_parameters_changed(self) -> None:
        """Another target may be wanted: what is known of the old one counts no more, and the watchdog stops."""
        if self.parameters.target_id != self._wanted:
            self._wanted = self.parameters.target_id
            self._followed = None
            self._last_state = self._last_normal = NEVER

    def _on_state(self, message: TrackState) -> None:
        if message.state == TrackState.IDLE and self._moving:
            self._stop_because("the tracker has no target")
        if message.state == TrackState.IDLE or not self._concerns(message):
            return
        self._last_state = time.monotonic()
        if message.state != TrackState.NORMAL:
            return  # the last command holds for hold_time, then the watchdog stops
        size = self.parameters.image_width, self.parameters.image_height
        try:
            self._check_age(message)
            command = follow(box_of_message(message.bbox), *size, self.parameters)
        except ValueError as reason:
            self._stop_because(str(reason))
            return
        self._last_normal = self._last_state
        self._send(*command)

    def _concerns(self, message: TrackState) -> bool:
        """Whether a state is that of the followed target; with no id given, that is the first to be heard of."""
        if not self._wanted and (self._followed is None or self._silent()):
            self._followed = message.target_id
        return message.target_id == (self._wanted or self._followed)

    def _check_age(self, message: TrackState) -> None:
        """Refuse a state whose image is too old or from the future: the clock has jumped, or the tracker lags.

        Raises:
            ValueError: with the age.
        """
        stamp = nanoseconds(message.header.stamp)
        age = (self.get_clock().now().nanoseconds - stamp) / 1e9
        if stamp and self.parameters.max_age and not -CLOCK_DIFFERENCE <= age <= self.parameters.max_age:
            raise ValueError(f"the image is {age:.2f} s old by this node's clock (parameter max_age)")

    def _silent(self) -> bool:
        return time.monotonic() - self._last_state > self.parameters.watchdog

    def _on_watchdog(self) -> None:
        if self._moving and self._silent():
            self._stop_because("no state of the target arrives")
        elif self._moving and time.monotonic() - self._last_normal > self.parameters.hold_time:
            self._stop_because("the target is not seen for sure")

    def _stop_because(self, reason: str) -> None:
        if self._moving:
            self.get_logger().warning(f"stop: {reason}")
            self.stop()
        else:
            self.get_logger().warning(f"not driving: {reason}", throttle_duration_sec=5.0)

    def stop(self) -> None:
        """Publish a stop."""
        self._send(0.0, 0.0)
        self._moving = False

    def stop_for_good(self) -> None:
        """Publish a stop and wait until it has arrived: the node is about to leave the graph."""
        self.stop()
        self._commands.wait_for_all_acked(Duration(seconds=DELIVERY_SECONDS))

    def _send(self, speed: float, turn: float) -> None:
        twist = Twist()
        twist.linear.x, twist.angular.z = speed, turn
        self._moving = True
        if self._stamped:
            message = TwistStamped(twist=twist)
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = self.parameters.frame_id
            self._commands.publish(message)
        else:
            self._commands.publish(twist)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``follow_node``."""
    return run_node(FollowNode, arguments, stopping=FollowNode.stop_for_good)


if __name__ == "__main__":
    sys.exit(main())
