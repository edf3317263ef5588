"""What rendered scenes are made of: textures, exact coverage of pixels, smooth paths."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.media.sources import Frame
from trdimp_ros.tracking import Box


def coverage(start: float, end: float, length: int) -> NDArray[np.float64]:
    """Share of each of a line's pixels that lies between start and end."""
    pixels = np.arange(length)
    return np.clip(np.minimum(pixels + 1, end) - np.maximum(pixels, start), 0.0, 1.0)


def smooth_path(
    frames: NDArray[np.int64], knots: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cubic Hermite interpolation with Catmull-Rom slopes.

    Args:
        frames: Where to evaluate it, (N,), from the first knot to the last.
        knots: Frames of the waypoints, rising, (K,) with K at least 2.
        values: What holds at the waypoints, (K, columns).

    Returns:
        (N, columns) float64.
    """
    slopes = np.gradient(values, knots, axis=0)
    index = np.clip(np.searchsorted(knots, frames, side="right") - 1, 0, len(knots) - 2)
    span = (knots[index + 1] - knots[index])[:, None]
    t = (frames[:, None] - knots[index][:, None]) / span
    return (
        (2 * t**3 - 3 * t**2 + 1) * values[index]
        + (t**3 - 2 * t**2 + t) * span * slopes[index]
        + (-2 * t**3 + 3 * t**2) * values[index + 1]
        + (t**3 - t**2) * span * slopes[index + 1]
    )


def uncovered_share(box: Box, size: tuple[int, int], coverers: list[Box]) -> float:
    """Share of a box, 0..1, that is inside the image and under none of the other boxes; exact.

    Args:
        box: The box of which the visible share is wanted.
        size: Width and height of the image.
        coverers: Boxes before it, which may overlap each other.
    """
    left, top = max(box.x, 0.0), max(box.y, 0.0)
    right, bottom = min(box.x + box.w, size[0]), min(box.y + box.h, size[1])
    if right <= left or bottom <= top:
        return 0.0
    columns = np.unique(np.clip([left, right, *(edge for c in coverers for edge in (c.x, c.x + c.w))], left, right))
    rows = np.unique(np.clip([top, bottom, *(edge for c in coverers for edge in (c.y, c.y + c.h))], top, bottom))
    x, y = (columns[1:] + columns[:-1]) / 2, (rows[1:] + rows[:-1]) / 2
    free = np.ones((len(y), len(x)), bool)
    for one in coverers:
        free &= ~(((y > one.y) & (y < one.y + one.h))[:, None] & ((x > one.x) & (x < one.x + one.w)))
    return float((np.diff(rows)[:, None] * np.diff(columns) * free).sum() / (box.w * box.h))


def draw_patch(image: Frame, patch: Frame, box: Box) -> None:
    """Draw a patch over a box of the image, in place; edge pixels are mixed by the share that the box covers."""
    height, width = image.shape[:2]
    left, top = max(int(np.floor(box.x)), 0), max(int(np.floor(box.y)), 0)
    right, bottom = min(int(np.ceil(box.x + box.w)), width), min(int(np.ceil(box.y + box.h)), height)
    if right <= left or bottom <= top:
        return
    scale_x, scale_y = box.w / patch.shape[1], box.h / patch.shape[0]
    # Pixel areas: column u of the patch covers box.x + u * scale to box.x + (u + 1) * scale.
    x, y = box.x - left, box.y - top
    matrix = np.array([[scale_x, 0, x + scale_x / 2 - 0.5], [0, scale_y, y + scale_y / 2 - 0.5]])
    size = (right - left, bottom - top)
    drawn = cv2.warpAffine(patch, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = (coverage(y, y + box.h, size[1])[:, None] * coverage(x, x + box.w, size[0]))[..., None].astype(np.float32)
    part = image[top:bottom, left:right]
    part[:] = part + alpha * (drawn.astype(np.float32) - part) + 0.5


def texture(random: np.random.Generator, height: int, width: int, coarse: int) -> Frame:
    """Coloured noise of several sizes."""
    total = np.zeros((height, width, 3))
    for octave, weight in ((coarse, 0.6), (max(coarse // 3, 2), 0.3), (2, 0.1)):
        rows, columns = max(height // octave, 2), max(width // octave, 2)
        noise = random.uniform(0, 255, (rows, columns, 3)).astype(np.float32)
        total += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 255).astype(np.uint8)


def sign(random: np.random.Generator, height: int, width: int) -> Frame:
    """A patch like a sign: colours, border, a shape and stripes over fine noise, all by chance."""
    colors = [tuple(int(value) for value in random.integers(20, 250, 3)) for _ in range(4)]
    patch = texture(random, height, width, coarse=8) // 3
    patch += (np.array(colors[0]) * 2 // 3).astype(np.uint8)
    thick = max(2, height // 14)
    x, y, radius = (int(random.uniform(low, high) * height) for low, high in ((0.3, 0.7), (0.35, 0.65), (0.15, 0.3)))
    if random.random() < 0.5:
        cv2.circle(patch, (x, y), radius, colors[1], -1, cv2.LINE_AA)
    else:
        cv2.rectangle(patch, (x - radius, y - radius), (x + radius, y + radius), colors[1], -1)
    for _ in range(int(random.integers(1, 4))):
        row = int(random.uniform(0.15, 0.9) * height)
        start, end = int(random.uniform(0.0, 0.5) * width), int(random.uniform(0.5, 1.0) * width)
        cv2.line(patch, (start, row), (end, row), colors[2], thick, cv2.LINE_AA)
    cv2.rectangle(patch, (0, 0), (width - 1, height - 1), colors[3], thick)
    return patch
