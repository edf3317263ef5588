"""All publications about a tracked image. What nobody listens to is not made."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D, Detection2DArray
from visualization_msgs.msg import Marker

from trdimp_ros.media.drawing import draw_results
from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_decoding import MessageImage, encode_image
from trdimp_ros.ros.image_plane import QUEUE_DEPTH, ImagePlane
from trdimp_ros.ros.messages import detection_message, state_message
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.sessions import ImageResult

IMAGE_PLANE_PERIOD = 0.2
"""Least time between two images in rviz, seconds."""


class ResultPublishers:
    """Publishes what the tracking thread finds.

    Args:
        node: The node to publish from.
        score_map: Gives the score map (rows, columns) of a target by its id; None where there is none.
        statistics: Told the latency.
    """

    def __init__(
        self, node: LifecycleNode, score_map: Callable[[str], NDArray[np.float32] | None], statistics: Statistics
    ) -> None:
        self._node = node
        self._score_map_of = score_map
        self._statistics = statistics
        self._plane = ImagePlane(node.get_fully_qualified_name())
        self._last_plane = 0.0
        reliable, large = QoSProfile(depth=100), QoSProfile(depth=1)
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

    def publish(self, result: ImageResult) -> None:
        """Publish what is new about one image; called in the tracking thread."""
        if not result.targets and not result.idle:
            return  # all that is known of it has been said
        image = result.image.source
        assert isinstance(image, MessageImage)
        self._publish_results(result, image)
        self._publish_pictures(result, image)

    def _publish_results(self, result: ImageResult, image: MessageImage) -> None:
        header = image.header
        latency = (self._node.get_clock().now().nanoseconds - (image.stamp or image.arrival)) / 1e9
        if result.idle:
            self._state.publish(TrackState(header=header, state=TrackState.IDLE))
        else:
            self._statistics.published(latency)
        for target in result.targets:
            self._state.publish(state_message(header, target, latency if image.stamp else 0.0))
            if target.track.found and target.id == result.first_id:
                self._detection.publish(detection_message(header, target))
        found = [detection_message(header, target) for target in result.all_targets if target.track.found]
        self._detections.publish(Detection2DArray(header=header, detections=found))

    def _publish_pictures(self, result: ImageResult, image: MessageImage) -> None:
        tracks = [(target.id, target.track) for target in result.all_targets]
        if self._debug_image.get_subscription_count():
            caption = f"{self._statistics.rate_out():.1f} fps"
            self._debug_image.publish(encode_image(draw_results(result.pixels, tracks, caption), "rgb8", image.header))
        if any(target.id == result.first_id for target in result.targets) and self._score_map.get_subscription_count():
            scores = self._score_map_of(result.first_id)
            if scores is not None:
                self._score_map.publish(encode_image(scores, "32FC1", image.header))
        now = time.monotonic()
        if self._image_plane.get_subscription_count() and now - self._last_plane >= IMAGE_PLANE_PERIOD:
            self._last_plane = now
            for marker in self._plane.markers(result.pixels, tracks, image.header.stamp):
                self._image_plane.publish(marker)
