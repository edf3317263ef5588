"""Every way in which a target is started from the graph: boxes, regions, clicks, and a detector's candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from geometry_msgs.msg import Point, PointStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import RegionOfInterest
from vision_msgs.msg import Detection2D, Detection2DArray

from trdimp_ros.ros.clicks import TwoCorners
from trdimp_ros.ros.image_plane import pixel_of_point, plane_frame
from trdimp_ros.ros.messages import box_of_message, box_of_roi, candidates_of_message, class_label, nanoseconds
from trdimp_ros.sessions import Candidate, InitRequest

LOG_PERIOD = 0.5
"""Least time between two lines about inits, seconds."""


class InitInputs:
    """Subscribes to everything that starts a target.

    Args:
        node: The node to subscribe with.
        start: Called with every request.
        suggest: Called with what a detector has seen, and the stamp of its image.
    """

    def __init__(
        self, node: Node, start: Callable[[InitRequest], None], suggest: Callable[[Sequence[Candidate], int], None]
    ) -> None:
        self._node = node
        self._start = start
        self._suggest = suggest
        self._plane_frame = plane_frame(node.get_fully_qualified_name())
        self._rviz_clicks, self._rqt_clicks = TwoCorners(), TwoCorners()
        self._subscriptions: list[Any] = [
            node.create_subscription(Detection2D, "~/init", self._on_init, 10),
            node.create_subscription(RegionOfInterest, "~/init_roi", self._on_region, 10),
            node.create_subscription(PointStamped, "/clicked_point", self._on_clicked_point, 10),
            node.create_subscription(Point, "image_mouse_left", self._on_mouse_click, 10),
            # Best effort also matches detectors that publish reliably.
            node.create_subscription(
                Detection2DArray,
                "~/candidates",
                self._on_candidates,
                QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT),
            ),
        ]

    def destroy(self) -> None:
        """Take all subscriptions off the graph."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def _on_init(self, message: Detection2D) -> None:
        stamp = nanoseconds(message.header.stamp)
        self._request(InitRequest(box_of_message(message.bbox), stamp, message.id, class_label(message)))

    def _on_region(self, message: RegionOfInterest) -> None:
        self._request(InitRequest(box_of_roi(message)))

    def _on_candidates(self, message: Detection2DArray) -> None:
        self._suggest(candidates_of_message(message), nanoseconds(message.header.stamp))

    def _on_clicked_point(self, message: PointStamped) -> None:
        if message.header.frame_id == self._plane_frame:  # all trackers and rviz's other users share the topic
            self._on_click(self._rviz_clicks, *pixel_of_point(message.point.x, message.point.y))

    def _on_mouse_click(self, message: Point) -> None:
        self._on_click(self._rqt_clicks, message.x, message.y)

    def _on_click(self, corners: TwoCorners, x: float, y: float) -> None:
        box = corners.click(x, y)
        if box is None:
            self._node.get_logger().info(
                f"first corner at ({x:.0f}, {y:.0f}); click the opposite one", throttle_duration_sec=LOG_PERIOD
            )
        else:
            self._request(InitRequest(box))

    def _request(self, request: InitRequest) -> None:
        box = request.box
        name = f" of {request.id[:40]!r}" if request.id else ""
        self._node.get_logger().info(
            f"init{name}: x={box.x:.1f} y={box.y:.1f} w={box.w:.1f} h={box.h:.1f}", throttle_duration_sec=LOG_PERIOD
        )
        self._start(request)
