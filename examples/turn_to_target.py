#!/usr/bin/env python3
"""A control node in 40 lines: turns towards the target; stands still when in doubt, in silence and at the end."""

import signal
import time

import rclpy
from geometry_msgs.msg import Twist
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from trdimp_ros.msg import TrackState

IMAGE_WIDTH = 640
PATIENCE = 0.5  # seconds without a state after which the robot stops


class TurnToTarget(Node):
    def __init__(self):
        super().__init__("turn_to_target")
        self.last_state = time.monotonic()
        self.commands = self.create_publisher(Twist, "cmd_vel", 10)
        self.create_subscription(TrackState, "tracker/state", self.on_state, 1)

    def on_state(self, state):
        self.last_state = time.monotonic()
        command = Twist()  # stands still unless the target is seen for sure
        if state.state == TrackState.NORMAL:
            command.angular.z = 1.0 - 2.0 * state.bbox.center.position.x / IMAGE_WIDTH
        self.commands.publish(command)

    def stop_in_silence(self):
        if time.monotonic() - self.last_state > PATIENCE:
            self.commands.publish(Twist())


def main():
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # rclpy's own would not let the last stop out
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = TurnToTarget()
    try:
        while True:
            rclpy.spin_once(node, timeout_sec=0.1)
            node.stop_in_silence()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second ctrl-C does not cut the stop off
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    finally:
        node.commands.publish(Twist())
        node.commands.wait_for_all_acked(rclpy.duration.Duration(seconds=0.5))
        rclpy.shutdown()


if __name__ == "__main__":
    main()
