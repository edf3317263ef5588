"""The image as a textured rectangle for rviz, which has no way of clicking in an image display.

In the frame `tracker_image_plane` one pixel is one millimetre, x to the right, y up: the image lies below the x axis.
"""

from __future__ import annotations

import array

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, UVCoordinate

from trdimp_ros.media.drawing import COLORS
from trdimp_ros.tracking import TrackResult

FRAME = "tracker_image_plane"
METERS_PER_PIXEL = 0.001
TEXTURE = "tracker_image"
MAX_SIDE = 960
"""The texture is shrunk to this; rviz needs no more."""

PLANE_ID, BOX_ID = 0, 1


def pixel_of_point(x: float, y: float) -> tuple[float, float]:
    """Image coordinates of a point in the image plane."""
    return x / METERS_PER_PIXEL, -y / METERS_PER_PIXEL


def point_of_pixel(x: float, y: float, height: float = 0.0) -> Point:
    """Inverse of `pixel_of_point`."""
    return Point(x=x * METERS_PER_PIXEL, y=-y * METERS_PER_PIXEL, z=height)


def image_marker(pixels: NDArray[np.uint8], stamp: Time) -> Marker:
    """The image (H, W, 3) RGB as two textured triangles."""
    height, width = pixels.shape[:2]
    marker = Marker(header=Header(frame_id=FRAME, stamp=stamp), ns="image", id=PLANE_ID, type=Marker.TRIANGLE_LIST)
    marker.pose.orientation.w = 1.0
    marker.scale.x = marker.scale.y = marker.scale.z = 1.0
    marker.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    corners = [(0, 0), (0, 1), (1, 1), (0, 0), (1, 1), (1, 0)]  # x and y as shares, counter-clockwise from above
    marker.points = [point_of_pixel(x * width, y * height) for x, y in corners]
    marker.colors = [marker.color] * len(corners)
    marker.uv_coordinates = [UVCoordinate(u=float(x), v=1.0 - y) for x, y in corners]
    marker.texture_resource = f"embedded://{TEXTURE}"
    marker.texture = _texture(pixels, marker.header)
    return marker


def box_marker(result: TrackResult | None, stamp: Time) -> Marker:
    """The box as four lines just above the image; without result what removes it."""
    marker = Marker(header=Header(frame_id=FRAME, stamp=stamp), ns="box", id=BOX_ID, type=Marker.LINE_STRIP)
    if result is None:
        marker.action = Marker.DELETE
        return marker
    marker.pose.orientation.w = 1.0
    marker.scale.x = 0.003
    red, green, blue = (value / 255 for value in COLORS[result.state])
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    box = result.box
    right, bottom = box.x + box.w, box.y + box.h
    corners = [(box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom), (box.x, box.y)]
    marker.points = [point_of_pixel(x, y, height=0.001) for x, y in corners]
    return marker


def _texture(pixels: NDArray[np.uint8], header: Header) -> CompressedImage:
    scale = min(MAX_SIDE / max(pixels.shape[:2]), 1.0)
    small = cv2.resize(np.ascontiguousarray(pixels), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    data = array.array("B")
    data.frombytes(encoded.tobytes())
    return CompressedImage(header=header, format="png", data=data)
