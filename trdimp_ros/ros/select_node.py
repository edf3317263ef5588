"""The node `select`: an OpenCV window on the image topic; drag a box, and the tracker starts on it."""

from __future__ import annotations

import os
import sys

import cv2
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D

from trdimp_ros.ros.image_decoding import decode_image
from trdimp_ros.ros.messages import box_message
from trdimp_ros.ros.running import run_node
from trdimp_ros.tracking import Box

WINDOW = "drag a box round the target (q ends)"
PERIOD = 0.03


class SelectNode(Node):
    """Shows `image`, publishes `tracker/init` with the header of the image that the box was drawn in.

    Raises:
        ValueError: without a display, or with an OpenCV that has no windows.
    """

    def __init__(self) -> None:
        super().__init__("select")
        if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise ValueError("no display (DISPLAY is not set); publish tracker/init instead, or click in rviz")
        try:
            cv2.namedWindow(WINDOW)
        except cv2.error as error:
            raise ValueError(
                "this OpenCV cannot open windows: install opencv-python, not opencv-python-headless"
            ) from error
        cv2.setMouseCallback(WINDOW, self._on_mouse)
        self._message: Image | None = None
        self._frozen: Image | None = None
        self._corner = self._opposite = (0, 0)
        self._inits = self.create_publisher(Detection2D, "tracker/init", 10)
        camera = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(Image, "image", self._on_image, camera)
        self.create_timer(PERIOD, self._show)

    def _on_image(self, message: Image) -> None:
        self._message = message

    def _on_mouse(self, event: int, x: int, y: int, flags: int, data: object) -> None:
        if event == cv2.EVENT_LBUTTONDOWN:
            # The picture stands still while a box is drawn, so that box and header belong together.
            self._frozen, self._corner, self._opposite = self._message, (x, y), (x, y)
        elif event == cv2.EVENT_MOUSEMOVE and self._frozen is not None:
            self._opposite = (x, y)
        elif event == cv2.EVENT_LBUTTONUP and self._frozen is not None:
            self._opposite = (x, y)
            self._publish_init(self._frozen)
            self._frozen = None

    def _publish_init(self, message: Image) -> None:
        (x0, y0), (x1, y1) = self._corner, self._opposite
        if x0 == x1 or y0 == y1:
            self.get_logger().warning("a click is no box: hold the button down and drag")
            return
        box = Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
        self._inits.publish(Detection2D(header=message.header, bbox=box_message(box)))

    def _show(self) -> None:
        message = self._frozen or self._message
        if message is not None:
            try:
                picture = np.ascontiguousarray(decode_image(message)[..., ::-1])
            except ValueError as error:
                self.get_logger().warning(f"image refused: {error}", throttle_duration_sec=5.0)
                return
            if self._frozen is not None:
                cv2.rectangle(picture, self._corner, self._opposite, (0, 255, 0), 2)
            cv2.imshow(WINDOW, picture)
        if cv2.waitKey(1) & 0xFF == ord("q"):
            raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``select_node``."""
    return run_node(SelectNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
