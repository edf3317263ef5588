"""The ROS 2 nodes. Only this layer imports rclpy."""
