#!/usr/bin/env python3
"""A control node in 40 lines: turns towards the target; stands still when in doubt, in silence and at the end."""

import signal
import threading
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
    # Only noted, not raised: an exception in the midst of a callback can be swallowed. A second ctrl-C does no harm.
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    node = TurnToTarget()
    try:
        while not ended.is_set():
            rclpy.spin_once(node, timeout_sec=0.1)
            node.stop_in_silence()
    finally:
        node.commands.publish(Twist())
        node.commands.wait_for_all_acked(rclpy.duration.Duration(seconds=0.5))
        rclpy.shutdown()


if __name__ == "__main__":
    main()
