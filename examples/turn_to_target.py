#!/usr/bin/env python3
"""A control node in 20 lines: turns towards the target, stands still when it is not seen for sure."""

import rclpy
from geometry_msgs.msg import Twist
from rclpy.node import Node

from trdimp_ros.msg import TrackState

IMAGE_WIDTH = 640


class TurnToTarget(Node):
    def __init__(self):
        super().__init__("turn_to_target")
        self.commands = self.create_publisher(Twist, "cmd_vel", 10)
        self.create_subscription(TrackState, "tracker/state", self.on_state, 1)

    def on_state(self, state):
        command = Twist()  # stands still unless the target is seen for sure
        if state.state == TrackState.NORMAL:
            command.angular.z = 1.0 - 2.0 * state.bbox.center.position.x / IMAGE_WIDTH
        self.commands.publish(command)


rclpy.init()
rclpy.spin(TurnToTarget())
