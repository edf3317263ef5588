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
        image: (H, W, 3) uint8 RGB.
        box: In image pixels, of positive width and height; what lies outside the image is taken from its edge.

    Returns:
        (80, 80, 3) uint8 RGB.
    """
    width, height = box.w * VIEW_MARGIN, box.h * VIEW_MARGIN
    steps = min(max(math.ceil(max(width, height) / VIEW_SIDE), 1), MOST_STEPS)
    side = VIEW_SIDE * steps
    left, top = box.x + (box.w - width) / 2, box.y + (box.h - height) / 2
    across, down = width / side, height / side
    # warpAffine counts from the middle of the first pixel.
    matrix = np.array([[across, 0.0, left + across / 2 - 0.5], [0.0, down, top + down / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(image, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    view = large if steps == 1 else cv2.resize(large, (VIEW_SIDE, VIEW_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(view, np.uint8)
