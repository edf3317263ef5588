"""The ROS 2 nodes. Only this layer imports rclpy."""

from trdimp_ros.openmp import spin_briefly

spin_briefly()  # here, since every module of this layer is imported after it, and torch only by them
