"""What rviz2 makes of markers, as far as a picture is concerned: a stand-in, because rviz2 cannot be installed by pip.

It does what rviz2 14.3 was seen to do, built from its sources and run with this package:

- texture coordinate v = 0 is the top row of the texture;
- every update of a marker that is already shown adds a texture unit to its material: the units are multiplied, so the
  picture darkens with every update;
- in the orthographic view from above, things less than `DEPTH_RESOLUTION` apart in height hide each other.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from visualization_msgs.msg import Marker

DEPTH_RESOLUTION = 0.01
"""Metres. 0.001 was seen to be too little and 0.05 to be enough; between them nothing was tried."""

Key = tuple[str, int]


class RvizModel:
    """Keeps the markers that are shown and draws them from above.

    Args:
        background: The colour, RGB, where no marker lies.

    Attributes:
        markers: The markers shown, by namespace and id.
    """

    def __init__(self, background: tuple[int, int, int] = (0, 0, 0)) -> None:
        self._background = background
        self.markers: dict[Key, Marker] = {}
        self._texture_units: dict[Key, list[NDArray[np.uint8]]] = {}

    def handle(self, marker: Marker) -> None:
        """Do what a message asks for."""
        key = marker.ns, marker.id
        if marker.action == Marker.DELETE:
            self.markers.pop(key, None)
            self._texture_units.pop(key, None)
            return
        self.markers[key] = marker
        if marker.texture_resource:
            encoded = np.frombuffer(marker.texture.data, np.uint8)
            texture = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
            if texture is None:
                raise ValueError(f"the texture of marker {key} cannot be decoded")
            self._texture_units.setdefault(key, []).append(np.asarray(texture[..., ::-1], np.uint8))

    def render(
        self, width: int, height: int, pixels_per_meter: float = 1000.0, left: float = 0.0, top: float = 0.0
    ) -> NDArray[np.uint8]:
        """The view from above, (height, width, 3) RGB: x to the right, y upwards.

        Args:
            width: Width of the picture in pixels.
            height: Height of the picture in pixels.
            pixels_per_meter: Scale of the view.
            left: The x coordinate of the picture's left edge in metres.
            top: The y coordinate of the picture's upper edge in metres.
        """
        picture = np.full((height, width, 3), self._background, np.uint8)
        depth = np.full((height, width), -np.inf)
        columns = left + (np.arange(width) + 0.5) / pixels_per_meter
        rows = top - (np.arange(height) + 0.5) / pixels_per_meter
        x, y = np.meshgrid(columns, rows)
        for key, marker in self.markers.items():
            if marker.type == Marker.TRIANGLE_LIST:
                self._draw_triangles(picture, depth, marker, self._texture_units[key], (x, y))
            elif marker.type == Marker.LINE_STRIP:
                _draw_lines(picture, depth, marker, (x, y))
            elif marker.type == Marker.TEXT_VIEW_FACING:
                _draw_text(picture, marker, pixels_per_meter, (left, top))
        return picture

    @staticmethod
    def _draw_triangles(picture, depth, marker, units, at) -> None:  # type: ignore[no-untyped-def]
        for start in range(0, len(marker.points), 3):
            corners = marker.points[start : start + 3]
            weights = _barycentric(corners, at)
            inside = np.all([weight >= -1e-9 for weight in weights], axis=0)
            z = sum(weight * corner.z for weight, corner in zip(weights, corners, strict=True))
            inside &= z > depth + DEPTH_RESOLUTION
            coordinates = marker.uv_coordinates[start : start + 3]
            u = sum(weight * one.u for weight, one in zip(weights, coordinates, strict=True))[inside]
            v = sum(weight * one.v for weight, one in zip(weights, coordinates, strict=True))[inside]
            colour = np.ones((int(inside.sum()), 3))
            for texture in units:
                rows = np.clip((v * texture.shape[0]).astype(int), 0, texture.shape[0] - 1)
                columns = np.clip((u * texture.shape[1]).astype(int), 0, texture.shape[1] - 1)
                colour = colour * texture[rows, columns] / 255
            picture[inside] = np.round(colour * 255)
            depth[inside] = z[inside]


def _draw_lines(picture, depth, marker, at) -> None:  # type: ignore[no-untyped-def]
    """Lines lie flat and are `scale.x` metres wide."""
    x, y = at
    colour = np.round(np.array([marker.color.r, marker.color.g, marker.color.b]) * 255)
    for start, end in zip(marker.points[:-1], marker.points[1:], strict=True):
        along = np.array([end.x - start.x, end.y - start.y])
        length = max(float(along @ along), 1e-12)
        share = np.clip(((x - start.x) * along[0] + (y - start.y) * along[1]) / length, 0, 1)
        distance = np.hypot(x - start.x - share * along[0], y - start.y - share * along[1])
        inside = (distance <= marker.scale.x / 2) & (start.z > depth + DEPTH_RESOLUTION)
        picture[inside] = colour


def _draw_text(picture, marker, pixels_per_meter, origin) -> None:  # type: ignore[no-untyped-def]
    """Text is centred on its position; `scale.z` is the height of a line in metres."""
    capital, font = 22, cv2.FONT_HERSHEY_SIMPLEX  # pixels of a capital at scale 1
    scale = marker.scale.z * pixels_per_meter / capital
    (width, height), _ = cv2.getTextSize(marker.text, font, scale, 1)
    x = (marker.pose.position.x - origin[0]) * pixels_per_meter - width / 2
    y = (origin[1] - marker.pose.position.y) * pixels_per_meter + height / 2
    colour = [round(value * 255) for value in (marker.color.r, marker.color.g, marker.color.b)]
    cv2.putText(picture, marker.text, (round(x), round(y)), font, scale, colour, 1, cv2.LINE_AA)


def _barycentric(corners, at):  # type: ignore[no-untyped-def]
    """Each corner's weight at every pixel. rviz draws triangles from both sides."""
    (ax, ay), (bx, by), (cx, cy) = ((corner.x, corner.y) for corner in corners)
    area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    x, y = at
    first = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
    second = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
    return first, second, 1 - first - second
