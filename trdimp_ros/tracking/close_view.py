"""The close view of a box that the appearance head looks at, cut on the host."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.models.appearance_head import VIEW_MARGIN, VIEW_SIDE
from trdimp_ros.tracking.geometry import Box

MOST_STEPS = 4
"""Of a large box so many points per pixel of the view are read along each side; what lies between is left out."""


def close_view(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """A box and a little round it, stretched to a square.

    Args:
        image: (H, W, 3) uint8 RGB, of any size.
        box: In image pixels, of positive width and height; what lies outside the image is taken from its edge.

    Returns:
        (80, 80, 3) uint8 RGB.
    """
    width, height = box.w * VIEW_MARGIN, box.h * VIEW_MARGIN
    steps = min(max(math.ceil(max(width, height) / VIEW_SIDE), 1), MOST_STEPS)
    side = VIEW_SIDE * steps
    columns, across, left = _read_along(image.shape[1], box.x + (box.w - width) / 2, width, side)
    rows, down, top = _read_along(image.shape[0], box.y + (box.h - height) / 2, height, side)
    matrix = np.array([[across, 0.0, left], [0.0, down, top]])
    part = np.ascontiguousarray(image[rows, columns])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(part, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    view = large if steps == 1 else cv2.resize(large, (VIEW_SIDE, VIEW_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(view, np.uint8)


def _read_along(length: int, start: float, extent: float, points: int) -> tuple[slice, float, float]:
    """Which pixels of a line are read, and where the points lie in them.

    OpenCV takes no images of 32,767 pixels or more, and of a large box not every pixel is needed.

    Args:
        length: Pixels of the line.
        start: Where the view begins, counted from the first pixel's edge.
        extent: How long it is.
        points: Into how many points it is divided.

    Returns:
        The pixels, the distance of two points in them, and where the first point is, counted from the middle of the
        first of them.
    """
    stride = max(int(extent // points), 1)
    first = min(max(math.floor(start) - stride, 0), length - 1)
    last = min(max(math.ceil(start + extent) + stride, first + 1), length)
    return slice(first, last, stride), extent / points / stride, (start + extent / points / 2 - 0.5 - first) / stride
