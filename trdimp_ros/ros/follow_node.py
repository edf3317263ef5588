"""The node `follow`: drives so that the target stays in the middle of the image and keeps its size."""

from __future__ import annotations

import dataclasses
import sys

from geometry_msgs.msg import Twist, TwistStamped
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.follow_control import FollowGains, follow
from trdimp_ros.ros.messages import box_of_message
from trdimp_ros.ros.running import run_node

WATCHDOG_PERIOD = 0.05

FIXED_PARAMETERS = {
    "stamped": (False, "Publish TwistStamped instead of Twist; read at start-up."),
    "frame_id": ("base_link", "Of the TwistStamped; read at start-up."),
}
PARAMETERS = {
    "image_width": (640, "Width of the image in pixels."),
    "image_height": (480, "Height of the image in pixels."),
    "hold_time": (0.5, "Seconds without a normal state after which the robot stops."),
    "watchdog": (0.5, "Seconds without any state after which the robot stops."),
}
GAIN_DESCRIPTIONS = {
    "turn_gain": "Turning rate (rad/s) at a target at the edge of the image.",
    "drive_gain": "Speed (m/s) per relative error of size.",
    "target_height": "Wanted height of the box as a share of the image's height.",
    "turn_dead_zone": "Share of half the image's width within which the robot does not turn.",
    "size_dead_zone": "Relative error of size within which it does not drive.",
    "max_turn": "Limit of the turning rate, rad/s.",
    "max_speed": "Limit of the speed, m/s.",
}


class FollowNode(Node):
    """`tracker/state` in, `cmd_vel` out. Stops when in doubt."""

    def __init__(self) -> None:
        super().__init__("follow")
        self._gains = FollowGains()
        self.add_on_set_parameters_callback(self._on_parameters)
        for name, (default, text) in (FIXED_PARAMETERS | PARAMETERS).items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text))
        for spec in dataclasses.fields(FollowGains):
            self.declare_parameter(
                spec.name, spec.default, ParameterDescriptor(description=GAIN_DESCRIPTIONS[spec.name])
            )
        self._stamped = self.get_parameter("stamped").value
        self._frame_id = self.get_parameter("frame_id").value
        self._commands = self.create_publisher(TwistStamped if self._stamped else Twist, "cmd_vel", 10)
        self._last_state = self._last_normal = 0
        self._moving = False
        self.create_subscription(TrackState, "tracker/state", self._on_state, 1)
        self.create_timer(WATCHDOG_PERIOD, self._on_watchdog)

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        names = {spec.name for spec in dataclasses.fields(FollowGains)}
        try:
            for change in changes:
                if change.name in PARAMETERS and not change.value > 0:
                    raise ValueError(f"{change.name} must be positive, got {change.value}")
            gains = dataclasses.replace(
                self._gains, **{change.name: change.value for change in changes if change.name in names}
            )
        except (TypeError, ValueError) as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._gains = gains
        return SetParametersResult(successful=True)

    def _on_state(self, message: TrackState) -> None:
        self._last_state = self._now()
        if message.state != TrackState.NORMAL:
            return  # the last command holds for hold_time, then the watchdog stops
        self._last_normal = self._last_state
        size = self.get_parameter("image_width").value, self.get_parameter("image_height").value
        self._send(*follow(box_of_message(message.bbox), *size, self._gains))

    def _on_watchdog(self) -> None:
        now = self._now()
        silent = now - self._last_state > self.get_parameter("watchdog").value * 1e9
        doubtful = now - self._last_normal > self.get_parameter("hold_time").value * 1e9
        if self._moving and (silent or doubtful):
            self.get_logger().warning("stop: " + ("no state arrives" if silent else "the target is not seen for sure"))
            self.stop()

    def stop(self) -> None:
        """Publish a stop."""
        self._send(0.0, 0.0)
        self._moving = False

    def _send(self, speed: float, turn: float) -> None:
        twist = Twist()
        twist.linear.x, twist.angular.z = speed, turn
        self._moving = True
        if self._stamped:
            message = TwistStamped(twist=twist)
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = self._frame_id
            self._commands.publish(message)
        else:
            self._commands.publish(twist)

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``follow_node``."""
    return run_node(FollowNode, arguments, stopping=FollowNode.stop)


if __name__ == "__main__":
    sys.exit(main())
