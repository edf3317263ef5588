"""The node `follow`: drives so that the target stays in the middle of the image and keeps its size."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from geometry_msgs.msg import Twist, TwistStamped

from trdimp_ros.msg import TrackState
from trdimp_ros.parameters import parameter
from trdimp_ros.ros.follow_control import FollowGains, follow
from trdimp_ros.ros.messages import box_of_message
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.running import run_node

WATCHDOG_PERIOD = 0.05


@dataclass(frozen=True)
class FollowParameters(FollowGains):
    """The parameters of the node."""

    stamped: bool = parameter(False, "Publish TwistStamped instead of Twist; read at the start.", dynamic=False)
    frame_id: str = parameter("base_link", "Frame of the TwistStamped.")
    image_width: int = parameter(640, "Width of the image in pixels.", 1, 65536)
    image_height: int = parameter(480, "Height of the image in pixels.", 1, 65536)
    hold_time: float = parameter(
        0.5, "Seconds without a normal state after which the robot stops.", maximum=60.0, above=0.0
    )
    watchdog: float = parameter(0.5, "Seconds without any state after which the robot stops.", maximum=60.0, above=0.0)


class FollowNode(ParameterNode[FollowParameters]):
    """`tracker/state` in, `cmd_vel` out. Stops when in doubt."""

    def __init__(self) -> None:
        super().__init__("follow", lambda given: FollowParameters())
        self._stamped = self.parameters.stamped
        self._commands = self.create_publisher(TwistStamped if self._stamped else Twist, "cmd_vel", 10)
        self._last_state = self._last_normal = 0
        self._moving = False
        self.create_subscription(TrackState, "tracker/state", self._on_state, 1)
        self.create_timer(WATCHDOG_PERIOD, self._on_watchdog)

    def _on_state(self, message: TrackState) -> None:
        self._last_state = self._now()
        if message.state != TrackState.NORMAL:
            return  # the last command holds for hold_time, then the watchdog stops
        self._last_normal = self._last_state
        size = self.parameters.image_width, self.parameters.image_height
        self._send(*follow(box_of_message(message.bbox), *size, self.parameters))

    def _on_watchdog(self) -> None:
        now = self._now()
        silent = now - self._last_state > self.parameters.watchdog * 1e9
        doubtful = now - self._last_normal > self.parameters.hold_time * 1e9
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
            message.header.frame_id = self.parameters.frame_id
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
