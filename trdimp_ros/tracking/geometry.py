"""Boxes and positions, on the host, in float32 as the original computes them.

A user box is (x, y, w, h), top-left corner, in image pixels whose centres lie on integers. Inside the tracker a
position is (row, column) and a size (height, width).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pair = NDArray[np.float32]
"""Shape (2,): row and column, or height and width."""

Coordinates = tuple[int, int, int, int]
"""Edges of a search area in the image: top, left, bottom, right; the last two exclusive."""

MIN_BOX_SIDE = 0.1
"""Shortest side of a target's first box, in image pixels."""

MAX_BOX_TO_IMAGE = 10.0
"""A box may be this many times as long as the image."""


class Box(NamedTuple):
    """An axis-aligned box in image pixels: top-left corner and size."""

    x: float
    y: float
    w: float
    h: float


def position_and_size(box: Box) -> tuple[Pair, Pair]:
    """The position (row, column) of a box's middle pixel, y + (h - 1)/2 and x + (w - 1)/2, and its size."""
    position = np.array([box.y + (box.h - 1) / 2, box.x + (box.w - 1) / 2], np.float32)
    return position, np.array([box.h, box.w], np.float32)


def box_at(position: Pair, size: Pair) -> Box:
    """Inverse of `position_and_size`."""
    y, x = (position - (size - 1) / 2).tolist()
    h, w = size.tolist()
    return Box(x, y, w, h)


def sample_box(position: Pair, size: Pair, sample_position: Pair, sample_scale: float, sample_size: int) -> Pair:
    """A target's box (x, y, w, h), float32, in pixels of a crop.

    Args:
        position: The target's position (row, column) in the image.
        size: The target's height and width in the image.
        sample_position: The position of the crop's centre in the image.
        sample_scale: Image pixels per crop pixel.
        sample_size: Side of the crop in its own pixels.
    """
    scale = np.float32(sample_scale)
    center = (position - sample_position) / scale + np.float32((sample_size - 1) / 2)
    extent = size / scale
    corner = center - (extent - 1) / 2
    return np.concatenate([corner[::-1], extent[::-1]]).astype(np.float32)


def sample_location(coordinates: Sequence[int], sample_size: int) -> tuple[Pair, np.float32]:
    """Centre (row, column) and scale (image pixels per crop pixel) of a crop (top, left, bottom, right)."""
    edges = np.asarray(coordinates, np.float32)
    position = np.float32(0.5) * (edges[:2] + edges[2:] - 1)
    ratio = (edges[2:] - edges[:2]) / np.float32(sample_size)
    return position, np.sqrt(ratio[0] * ratio[1], dtype=np.float32)


def initial_scale(size: Pair, search_area_scale: float, sample_size: int) -> np.float32:
    """Image pixels per pixel of the network input such that the search area is that many target sizes."""
    sides = size * np.float32(search_area_scale)
    return np.float32(math.sqrt(float(sides[0] * sides[1])) / sample_size)


def scale_bounds(base_size: Pair, image_size: tuple[int, int]) -> tuple[float, float]:
    """Smallest and largest scale: the target keeps 10 pixels, and no side exceeds the image (rows, columns)."""
    smallest = float((np.float32(10) / base_size).max())
    largest = float((np.asarray(image_size, np.float32) / base_size).min())
    return smallest, max(smallest, largest)


def centered_sample_position(
    position: Pair, scale: float, sample_size: int, feature_size: int, filter_size: int
) -> Pair:
    """Where to centre a crop so that the target's centre falls on a score cell (an odd sum needs half a cell)."""
    odd = (feature_size + filter_size) % 2
    return position + np.float32(odd * scale * sample_size / (2 * feature_size))


def intersection_over_union(a: Box, b: Box) -> float:
    """Overlap of two boxes, 0..1; 0 where one has no area."""
    width = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    height = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / (a.w * a.h + b.w * b.h - common)


def check_image(image: object) -> NDArray[np.uint8]:
    """Refuse what is not an RGB image.

    Raises:
        ValueError: naming type, dtype or shape.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"an image must be a numpy array, got {type(image).__name__}")
    if image.dtype != np.uint8:
        raise ValueError(f"an image must have dtype uint8, got {image.dtype}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"an image must have shape (height, width, 3), RGB, got {image.shape}")
    if image.size == 0:
        raise ValueError(f"an image must have at least one pixel, got shape {image.shape}")
    return image


def check_init_box(box: Sequence[float], image_size: tuple[int, int]) -> Box:
    """Refuse a box that no target can have.

    Args:
        box: The box x, y, w, h in image pixels.
        image_size: Rows and columns of the image.

    Raises:
        ValueError: naming the box and what is wrong with it.
    """
    try:
        values = [float(value) for value in box]
    except (TypeError, ValueError) as error:
        raise ValueError(f"a box must be four numbers x, y, w, h, got {box!r}") from error
    if len(values) != 4:
        raise ValueError(f"a box must be four numbers x, y, w, h, got {len(values)}: {box!r}")
    checked = Box(*values)
    text = "x={:g} y={:g} w={:g} h={:g}".format(*checked)
    if not all(math.isfinite(value) for value in checked):
        raise ValueError(f"a box must be finite, got {text}")
    if checked.w <= 0 or checked.h <= 0:
        raise ValueError(f"a box must have a positive width and height, got {text}")
    if checked.w < MIN_BOX_SIDE or checked.h < MIN_BOX_SIDE:
        raise ValueError(f"a box must be at least {MIN_BOX_SIDE:g} pixels wide and high, got {text}")
    height, width = image_size
    if checked.x >= width or checked.y >= height or checked.x + checked.w <= 0 or checked.y + checked.h <= 0:
        raise ValueError(f"the box must overlap the image of {width}x{height} pixels, got {text}")
    if checked.w > MAX_BOX_TO_IMAGE * width or checked.h > MAX_BOX_TO_IMAGE * height:
        raise ValueError(
            f"the box must be at most {MAX_BOX_TO_IMAGE:g} times as long as the image of {width}x{height} pixels, "
            f"got {text}"
        )
    return checked


def polygon_to_box(polygon: Sequence[float], preserve_area: bool = True) -> Box:
    """An axis-aligned box for an annotated quadrilateral x1, y1, ..., x4, y4 (as in VOT's ground truth).

    Args:
        polygon: Eight numbers.
        preserve_area: The bounding box shrunk about the polygon's centre to its area; False: the bounding box.

    Raises:
        ValueError: for another count of numbers.
    """
    if len(polygon) != 8:
        raise ValueError(f"a polygon must be eight numbers x1, y1, ..., x4, y4, got {len(polygon)}")
    points = np.asarray(polygon, np.float64).reshape(4, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    if not preserve_area:
        return Box(*low.tolist(), *(high - low).tolist())
    center = points.mean(axis=0)
    area = np.linalg.norm(points[0] - points[1]) * np.linalg.norm(points[1] - points[2])
    size = math.sqrt(area / np.prod(high - low)) * (high - low) + 1
    return Box(*(center - size / 2).tolist(), *size.tolist())
