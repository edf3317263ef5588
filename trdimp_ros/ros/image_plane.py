"""The image as a textured rectangle for rviz, which has no way of clicking in an image display.

In the plane's frame one pixel is one millimetre, x to the right, y up: the image lies below the x axis. Every tracker
has a frame of its own, so that a click in one tracker's plane starts no other tracker.
"""

from __future__ import annotations

import array
from collections.abc import Iterable

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, UVCoordinate

from trdimp_ros.media.drawing import COLORS
from trdimp_ros.ros.rviz_configuration import plane_frame
from trdimp_ros.tracking import State, TrackResult

METERS_PER_PIXEL = 0.001
TEXTURE = "tracker_image"
MAX_SIDE = 960
"""The texture's longer side is shrunk to this many pixels; rviz needs no more."""

BOX_HEIGHT = 0.05
"""Metres that boxes lie above the image: rviz's view from above cannot tell heights apart that differ by 0.001."""

BOX_LINE_WIDTH = 0.003
TEXT_HEIGHT = 0.018

QUEUE_DEPTH = 100
"""Depth of the topic: an update is two markers for the image and up to four for each target."""

IMAGE_NAMESPACE, BOX_NAMESPACE, TEXT_NAMESPACE = "image", "box", "id"


def pixel_of_point(x: float, y: float) -> tuple[float, float]:
    """Image coordinates of a point in the image plane."""
    return x / METERS_PER_PIXEL, -y / METERS_PER_PIXEL


def point_of_pixel(x: float, y: float, height: float = 0.0) -> Point:
    """Inverse of `pixel_of_point`; the height above the image is in metres."""
    return Point(x=x * METERS_PER_PIXEL, y=-y * METERS_PER_PIXEL, z=height)


class ImagePlane:
    """Makes the markers that show images, boxes and target ids in rviz.

    Args:
        node_name: The tracker's fully qualified name.
    """

    def __init__(self, node_name: str) -> None:
        self.frame = plane_frame(node_name)
        self._shown_targets = 0

    def markers(
        self, pixels: NDArray[np.uint8], targets: Iterable[tuple[str, TrackResult]], stamp: Time
    ) -> list[Marker]:
        """The markers of one update, in the order in which they are to be published.

        rviz adds a texture unit to a marker's material on every update of it, which darkens the picture and soon
        freezes it. So each marker is deleted before it is added anew; that also removes the boxes
        of targets that are gone.

        Args:
            pixels: The image, (height, width, 3) uint8 RGB.
            targets: The id and the result of every target in this image.
            stamp: The image's stamp.
        """
        header = Header(frame_id=self.frame, stamp=stamp)
        targets = list(targets)
        markers = [_deletion(header, IMAGE_NAMESPACE, 0), image_marker(pixels, header)]
        for number in range(max(self._shown_targets, len(targets))):
            markers += [_deletion(header, BOX_NAMESPACE, number), _deletion(header, TEXT_NAMESPACE, number)]
        for number, (target_id, result) in enumerate(targets):
            markers += [box_marker(result, header, number), text_marker(target_id, result, header, number)]
        self._shown_targets = len(targets)
        return markers


def image_marker(pixels: NDArray[np.uint8], header: Header) -> Marker:
    """The image (height, width, 3) RGB as two textured triangles; v = 0 is the texture's top row."""
    height, width = pixels.shape[:2]
    marker = _marker(header, IMAGE_NAMESPACE, 0, Marker.TRIANGLE_LIST)
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    corners = [(0, 0), (0, 1), (1, 1), (0, 0), (1, 1), (1, 0)]  # x and y as shares, counter-clockwise from above
    marker.points = [point_of_pixel(x * width, y * height) for x, y in corners]
    marker.colors = [marker.color] * len(corners)
    marker.uv_coordinates = [UVCoordinate(u=float(x), v=float(y)) for x, y in corners]
    marker.texture_resource = f"embedded://{TEXTURE}"
    marker.texture = _texture(pixels, header)
    return marker


def box_marker(result: TrackResult, header: Header, number: int) -> Marker:
    """A target's box as four lines above the image, in the colour of its state."""
    marker = _marker(header, BOX_NAMESPACE, number, Marker.LINE_STRIP)
    marker.scale.x = BOX_LINE_WIDTH
    marker.color = _color(result.state)
    box = result.box
    right, bottom = box.x + box.w, box.y + box.h
    corners = [(box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom), (box.x, box.y)]
    marker.points = [point_of_pixel(x, y, BOX_HEIGHT) for x, y in corners]
    return marker


def text_marker(target_id: str, result: TrackResult, header: Header, number: int) -> Marker:
    """A target's id above its box."""
    marker = _marker(header, TEXT_NAMESPACE, number, Marker.TEXT_VIEW_FACING)
    marker.scale.z = TEXT_HEIGHT
    marker.color = _color(result.state)
    marker.text = target_id
    center = result.box.x + result.box.w / 2
    marker.pose.position = point_of_pixel(center, result.box.y - TEXT_HEIGHT / METERS_PER_PIXEL, BOX_HEIGHT)
    return marker


def _marker(header: Header, namespace: str, number: int, kind: int) -> Marker:
    marker = Marker(header=header, ns=namespace, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    return marker


def _deletion(header: Header, namespace: str, number: int) -> Marker:
    return Marker(header=header, ns=namespace, id=number, action=Marker.DELETE)


def _color(state: State) -> ColorRGBA:
    red, green, blue = (value / 255 for value in COLORS[state])
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)


def _texture(pixels: NDArray[np.uint8], header: Header) -> CompressedImage:
    scale = min(MAX_SIDE / max(pixels.shape[:2]), 1.0)
    height, width = (max(round(side * scale), 1) for side in pixels.shape[:2])
    small = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    data = array.array("B")
    data.frombytes(encoded.tobytes())
    return CompressedImage(header=header, format="png", data=data)
