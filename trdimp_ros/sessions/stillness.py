"""Whether a target stayed where it was between two images, so that a box drawn in one of them holds in the other."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking import Box

MARGIN = 0.25
"""The surroundings of the box that are searched, as a share of its longer side."""

MAX_SHIFT = 0.1
"""A target that moved by less than this share of its box's shorter side has stayed."""

MIN_CORRELATION = 0.8
"""Least normalised correlation of what is seen in the box."""

MAX_DIFFERENCE = 12.0
"""Greatest mean difference in grey levels, 0 to 255, of what is seen in the box."""

WORKING_SIDE = 64
"""The box is scaled down to this side, in pixels, for the comparison."""


def stayed_in_place(before: NDArray[np.uint8], after: NDArray[np.uint8], box: Box) -> bool:
    """Compare what two images show in a box.

    The contents of the box in the first image are searched for in and around the box in the second one (normalised
    cross-correlation).

    Args:
        before: The earlier image (H, W, 3) uint8.
        after: The later image, of the same size; with another size the answer is no.
        box: The box in image pixels; the part of it outside the image does not count.

    Returns:
        Whether the best match is good and lies where the box is. No where the box shows too little to tell.
    """
    if before.shape != after.shape or not np.isfinite(box).all():
        return False
    height, width = before.shape[:2]
    margin = MARGIN * max(box.w, box.h)
    left, top, right, bottom = _inside(box, width, height)
    outer = _inside(Box(box.x - margin, box.y - margin, box.w + 2 * margin, box.h + 2 * margin), width, height)
    shorter = min(right - left, bottom - top)
    if shorter < 4:
        return False
    scale = min(WORKING_SIDE / max(right - left, bottom - top), 1.0)
    template = _grey(before[top:bottom, left:right], scale)
    area = _grey(after[outer[1] : outer[3], outer[0] : outer[2]], scale)
    if template.std() < 2.0 or min(template.shape) < 2 or any(np.less(area.shape, template.shape)):
        return False
    scores = cv2.matchTemplate(area, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(scores)
    shift = max(abs(x - (left - outer[0]) * scale), abs(y - (top - outer[1]) * scale))
    found = area[y : y + template.shape[0], x : x + template.shape[1]]
    difference = float(np.abs(found.astype(np.float32) - template).mean())
    # Half a pixel of the scaled image is lost to rounding.
    return best >= MIN_CORRELATION and difference <= MAX_DIFFERENCE and shift <= MAX_SHIFT * shorter * scale + 0.5


def _inside(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a box inside an image, in whole pixels: left, top, right, bottom."""
    x = np.clip([box.x, box.x + box.w], 0, width).round().astype(int)
    y = np.clip([box.y, box.y + box.h], 0, height).round().astype(int)
    return int(x[0]), int(y[0]), int(x[1]), int(y[1])


def _grey(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    size = max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
