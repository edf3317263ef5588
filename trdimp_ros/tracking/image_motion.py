"""How the camera moved between two images: corners followed by optical flow, and a similarity fitted to them.

The estimate is made on small grey copies, so its cost does not grow with the image, and it is judged: an estimate that
cannot be trusted is never applied.

Corners: Shi and Tomasi, CVPR 1994. Flow: the pyramidal method of Lucas and Kanade (Bouguet, 2001). Fit: RANSAC over
similarities, which finds the corners that went astray as well. All three are OpenCV's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.similarity import IDENTITY, Similarity

GREY_SIDE = 192
"""Longer side of the grey copy in pixels; no more than this is looked at, however large the image is."""
CORNERS = 60
"""At most so many corners are followed."""
LEAST_CORNERS = 12
"""Fewer corners that agree than this are no evidence."""
CORNER_QUALITY = 0.01
CORNER_DISTANCE = 9.0
"""Pixels of the grey copy between two corners."""
FLOW_WINDOW = (11, 11)
FLOW_LEVELS = 3
FIT_ERROR = 1.0
"""Pixels of the grey copy by which a corner may miss the fitted motion and still agree with it."""
LEAST_AGREEMENT = 0.5
"""Share of the followed corners that must agree with the motion."""
LEAST_SPREAD = 0.25
"""The agreeing corners must span this share of the grey copy's height and of its width: a patch is an object."""
LARGEST_ZOOM = 1.3
"""Change of scale between two images that is still believed."""
LARGEST_TURN = math.radians(25.0)
LARGEST_SHIFT = 0.5
"""Shift of the image's middle, in shares of its longer side, that is still believed."""
OUTSIDE = 0.1
"""A target's box is widened by this share of its size on each side before it is left out."""


@dataclass(frozen=True)
class MotionEstimate:
    """The motion between two images.

    Attributes:
        motion: It takes coordinates of the earlier image to those of the later one.
        trusted: Whether there was enough evidence. The motion is the identity where there was not.
    """

    motion: Similarity
    trusted: bool


NO_ESTIMATE = MotionEstimate(IDENTITY, False)


@dataclass(frozen=True)
class GreyCopy:
    """A small grey copy of an image.

    Attributes:
        pixels: (h, w) uint8, at most `GREY_SIDE` long.
        factor: Image pixels per pixel of the copy.
        image_size: Rows and columns of the image.
    """

    pixels: NDArray[np.uint8]
    factor: float
    image_size: tuple[int, int]


def grey_copy(image: NDArray[np.uint8], side: int = GREY_SIDE) -> GreyCopy:
    """Shrink an image and take the colour out.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: The copy is at most this long; a smaller image keeps its size.
    """
    height, width = image.shape[:2]
    factor = max(max(height, width) / side, 1.0)
    columns, rows = max(round(width / factor), 1), max(round(height / factor), 1)
    if factor > 2:  # averaging every pixel of a large image would cost more than all the rest
        image = np.asarray(cv2.resize(image, (2 * columns, 2 * rows), interpolation=cv2.INTER_LINEAR), np.uint8)
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    if grey.shape != (rows, columns):
        grey = np.asarray(cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    return GreyCopy(grey, factor, (height, width))


def estimate_motion(earlier: GreyCopy, later: GreyCopy, left_out: Sequence[Box] = ()) -> MotionEstimate:
    """The camera's motion between two images.

    Args:
        earlier: The first image.
        later: The second image; of another size there is no estimate.
        left_out: Boxes of the earlier image, in its pixels, whose corners do not count: they move by themselves.

    Returns:
        The motion in image pixels, not trusted where too few corners agree or the motion is not believable.
    """
    if earlier.image_size != later.image_size or min(earlier.pixels.shape) < 2 * FLOW_WINDOW[0]:
        return NO_ESTIMATE
    start, end = _followed_corners(earlier, later, left_out)
    if len(start) < LEAST_CORNERS:
        return NO_ESTIMATE
    # OpenCV's RANSAC starts from the same seed in every call.
    matrix, agreeing = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=FIT_ERROR, maxIters=300, confidence=0.995, refineIters=10
    )
    if matrix is None or not np.isfinite(matrix).all():
        return NO_ESTIMATE
    inside = start[agreeing[:, 0].astype(bool)]
    small = Similarity(float(matrix[0, 0]), float(matrix[1, 0]), float(matrix[0, 2]), float(matrix[1, 2]))
    rows, columns = later.pixels.shape
    if not _enough_evidence(inside, len(start), (rows, columns)) or not _believable(small, (rows, columns)):
        return NO_ESTIMATE
    return MotionEstimate(_in_image_pixels(small, later.factor), True)


def _followed_corners(
    earlier: GreyCopy, later: GreyCopy, left_out: Sequence[Box]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners (N, 2) x, y of the earlier copy, and where they are in the later one."""
    nothing = np.zeros((0, 2), np.float32)
    mask = _background_mask(earlier, left_out)
    corners = cv2.goodFeaturesToTrack(earlier.pixels, CORNERS, CORNER_QUALITY, CORNER_DISTANCE, mask=mask)
    if corners is None:
        return nothing, nothing
    moved, seen = _flow(earlier, later, np.asarray(corners, np.float32))
    return np.asarray(corners, np.float32)[seen, 0], moved[seen, 0]


def _flow(
    earlier: GreyCopy, later: GreyCopy, points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where points (N, 1, 2) are in the later copy, and which of them (N,) could be followed."""
    moved, seen, _ = cv2.calcOpticalFlowPyrLK(
        earlier.pixels, later.pixels, points, np.empty_like(points), winSize=FLOW_WINDOW, maxLevel=FLOW_LEVELS
    )
    return np.asarray(moved, np.float32), seen[:, 0] == 1


def _background_mask(copy: GreyCopy, left_out: Sequence[Box]) -> NDArray[np.uint8]:
    """255 where corners may be taken, 0 in the boxes."""
    mask = np.full(copy.pixels.shape, 255, np.uint8)
    rows, columns = copy.pixels.shape
    for box in left_out:
        if not all(math.isfinite(value) for value in box):
            continue
        left, right = box.x - OUTSIDE * box.w, box.x + (1 + OUTSIDE) * box.w
        top, bottom = box.y - OUTSIDE * box.h, box.y + (1 + OUTSIDE) * box.h
        x0, x1 = (int(np.clip(value / copy.factor, 0, columns)) for value in (left, right))
        y0, y1 = (int(np.clip(value / copy.factor, 0, rows)) for value in (top, bottom))
        mask[y0 : y1 + 1, x0 : x1 + 1] = 0
    return mask


def _enough_evidence(agreeing: NDArray[np.float32], followed: int, size: tuple[int, int]) -> bool:
    """Whether enough corners (N, 2) agree, over enough of a copy of this size."""
    if len(agreeing) < max(LEAST_CORNERS, LEAST_AGREEMENT * followed):
        return False
    span_x, span_y = np.ptp(agreeing, axis=0)
    return bool(span_x >= LEAST_SPREAD * size[1] and span_y >= LEAST_SPREAD * size[0])


def _believable(motion: Similarity, size: tuple[int, int]) -> bool:
    """Whether a camera may have moved like this between two images; in pixels of the copy."""
    rows, columns = size
    middle = ((columns - 1) / 2, (rows - 1) / 2)
    shift = math.dist(middle, motion.apply(*middle))
    return (
        1 / LARGEST_ZOOM <= motion.scale <= LARGEST_ZOOM
        and abs(motion.turn) <= LARGEST_TURN
        and shift <= LARGEST_SHIFT * max(size)
    )


def _in_image_pixels(motion: Similarity, factor: float) -> Similarity:
    """From pixels of the copy to pixels of the image; centres of pixels are integers in both."""
    # Image coordinate = factor * (copy coordinate + 1/2) - 1/2.
    half = (factor - 1) / 2
    shift_x = factor * motion.shift_x + half - (motion.a - motion.b) * half
    shift_y = factor * motion.shift_y + half - (motion.b + motion.a) * half
    return Similarity(motion.a, motion.b, shift_x, shift_y)
