"""All publications about a tracked image. What nobody listens to is not made."""

from __future__ import annotations

import time

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray
from visualization_msgs.msg import Marker

from trdimp_ros.media.drawing import draw_result
from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.image_plane import QUEUE_DEPTH, ImagePlane
from trdimp_ros.ros.messages import detection_message, state_message
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.ros.tracking_worker import TrackedImage
from trdimp_ros.tracking import Tracker

IMAGE_PLANE_PERIOD = 0.2
"""Least time between two images in rviz, seconds."""


class ResultPublishers:
    """Publishes what the tracking thread finds.

    Args:
        node: To publish from.
        tracker: Asked for the score map.
        statistics: Told the latency.
    """

    def __init__(self, node: LifecycleNode, tracker: Tracker, statistics: Statistics) -> None:
        self._node = node
        self._tracker = tracker
        self._statistics = statistics
        self._plane = ImagePlane(node.get_fully_qualified_name())
        self._last_plane = 0.0
        reliable, large = QoSProfile(depth=10), QoSProfile(depth=1)
        self._state = node.create_lifecycle_publisher(TrackState, "~/state", reliable)
        self._detection = node.create_lifecycle_publisher(Detection2D, "~/detection", reliable)
        self._detections = node.create_lifecycle_publisher(Detection2DArray, "~/detections", reliable)
        self._debug_image = node.create_lifecycle_publisher(Image, "~/debug_image", large)
        self._score_map = node.create_lifecycle_publisher(Image, "~/score_map", large)
        self._image_plane = node.create_lifecycle_publisher(Marker, "~/image_plane", QoSProfile(depth=QUEUE_DEPTH))

    def destroy(self) -> None:
        """Take all publishers off the graph."""
        for publisher in (
            self._state,
            self._detection,
            self._detections,
            self._debug_image,
            self._score_map,
            self._image_plane,
        ):
            self._node.destroy_publisher(publisher)

    def publish(self, tracked: TrackedImage) -> None:
        """Publish the result of one image; called in the tracking thread."""
        header = tracked.frame.message.header
        now = self._node.get_clock().now().nanoseconds
        latency = (now - (tracked.frame.stamp or tracked.frame.arrival)) / 1e9
        target, result = tracked.target, tracked.result
        if target is None or result is None:
            self._state.publish(TrackState(header=header, state=TrackState.IDLE))
            self._detections.publish(Detection2DArray(header=header))
        else:
            self._state.publish(
                state_message(
                    header, target.id, result, target.frames_since_found, latency if tracked.frame.stamp else 0.0
                )
            )
            found = [detection_message(header, target.id, target.label, result)] if result.found else []
            for detection in found:
                self._detection.publish(detection)
            self._detections.publish(Detection2DArray(header=header, detections=found))
            self._statistics.published(latency)
        self._publish_pictures(tracked)

    def _publish_pictures(self, tracked: TrackedImage) -> None:
        header, result = tracked.frame.message.header, tracked.result
        if self._debug_image.get_subscription_count():
            picture = np.ascontiguousarray(tracked.pixels)
            if result is not None and tracked.target is not None:
                picture = draw_result(picture, result, label=tracked.target.id)
            self._debug_image.publish(encode_image(picture, "rgb8", header))
        if result is not None and self._score_map.get_subscription_count() and self._tracker.has_score_map:
            self._score_map.publish(encode_image(self._tracker.score_map(), "32FC1", header))
        now = time.monotonic()
        if self._image_plane.get_subscription_count() and now - self._last_plane >= IMAGE_PLANE_PERIOD:
            self._last_plane = now
            targets = [] if result is None or tracked.target is None else [(tracked.target.id, result)]
            for marker in self._plane.markers(tracked.pixels, targets, header.stamp):
                self._image_plane.publish(marker)
