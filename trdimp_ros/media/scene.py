"""A rendered scene with exact ground truth: a target that moves, grows, hides behind a pillar, leaves and returns."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.media.scene_parts import coverage, texture
from trdimp_ros.media.sources import Frame
from trdimp_ros.tracking import Box

KEYFRAMES = np.array(
    # frame, centre x, centre y, scale; in shares of the image width, height and of the target's size
    [
        [0, 0.20, 0.35, 1.00],
        [40, 0.38, 0.60, 1.15],
        [62, 0.47, 0.50, 1.10],
        [76, 0.60, 0.45, 1.10],
        [100, 0.80, 0.62, 1.30],
        [120, 0.94, 0.55, 1.15],
        [130, 1.14, 0.48, 1.05],
        [142, 1.14, 0.42, 1.00],
        [152, 0.92, 0.38, 0.95],
        [175, 0.62, 0.28, 0.90],
        [199, 0.30, 0.45, 1.00],
    ]
)
SMALLEST_SIDE, LARGEST_SIDE = 64, 8192
"""Pixels."""

PILLAR = (0.50, 0.19)
"""Centre and width of the pillar in shares of the image width."""


class RenderedScene:
    """Frames and ground truth of the scene; every frame can be rendered by itself, and always comes out the same.

    Args:
        width: The image's width in pixels.
        height: The image's height in pixels.
        seed: The seed of all textures and of the noise.
    """

    rate = 25.0

    def __init__(self, width: int = 640, height: int = 480, seed: int = 0) -> None:
        if not (SMALLEST_SIDE <= width <= LARGEST_SIDE and SMALLEST_SIDE <= height <= LARGEST_SIDE):
            raise ValueError(
                f"a rendered scene needs {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side, got {width}x{height}"
            )
        self.width, self.height = width, height
        self._seed = seed
        random = np.random.default_rng(seed)
        side = min(width, height)
        self._target = _target_texture(random, round(0.14 * side), round(0.17 * side))
        self._background = _background(random, width, height)
        pillar_width = round(PILLAR[1] * width)
        self._pillar_left = round(PILLAR[0] * width - pillar_width / 2)
        self._pillar = texture(random, height, pillar_width, coarse=24) // 3 + np.array([70, 60, 50], np.uint8)

    def __len__(self) -> int:
        return int(KEYFRAMES[-1, 0]) + 1

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(len(self)))

    def box(self, index: int) -> Box:
        """The target's true box, also where it is hidden or outside the image."""
        center_x, center_y, scale = (
            _smooth_interpolation(index, KEYFRAMES[:, 0], KEYFRAMES[:, column]) for column in (1, 2, 3)
        )
        height, width = (length * scale for length in self._target.shape[:2])
        return Box(center_x * self.width - width / 2, center_y * self.height - height / 2, width, height)

    def visibility(self, index: int) -> float:
        """Share of the target's box, 0..1, that is inside the image and not behind the pillar."""
        box = self.box(index)
        rows = max(min(box.y + box.h, self.height) - max(box.y, 0.0), 0.0)
        columns = _overlap(box.x, box.x + box.w, 0, self.width)
        columns -= _overlap(box.x, box.x + box.w, self._pillar_left, self._pillar_left + self._pillar.shape[1])
        return max(rows * columns, 0.0) / (box.w * box.h)

    def frame(self, index: int) -> Frame:
        """Render one frame."""
        box = self.box(index)
        scale_x, scale_y = box.w / self._target.shape[1], box.h / self._target.shape[0]
        # Pixel areas: texture column u covers box.x + u * scale to box.x + (u + 1) * scale.
        matrix = np.array(
            [[scale_x, 0, box.x + scale_x / 2 - 0.5], [0, scale_y, box.y + scale_y / 2 - 0.5]], np.float64
        )
        size = (self.width, self.height)
        target = cv2.warpAffine(self._target, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = coverage(box.y, box.y + box.h, self.height)[:, None] * coverage(box.x, box.x + box.w, self.width)
        image = self._background * (1 - alpha[..., None]) + target * alpha[..., None]
        left = self._pillar_left
        image[:, left : left + self._pillar.shape[1]] = self._pillar
        noise = np.random.default_rng((self._seed, index)).normal(0.0, 2.0, image.shape)
        light = 1.0 + 0.06 * math.sin(index / 15.0)
        return np.clip(image * light + noise, 0, 255).astype(np.uint8)


def _overlap(start: float, end: float, low: float, high: float) -> float:
    return max(min(end, high) - max(start, low), 0.0)


def _smooth_interpolation(at: float, knots: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Cubic Hermite interpolation with Catmull-Rom slopes."""
    slopes = np.gradient(values, knots)
    index = int(np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2))
    span = knots[index + 1] - knots[index]
    t = (at - knots[index]) / span
    return float(
        (2 * t**3 - 3 * t**2 + 1) * values[index]
        + (t**3 - 2 * t**2 + t) * span * slopes[index]
        + (-2 * t**3 + 3 * t**2) * values[index + 1]
        + (t**3 - t**2) * span * slopes[index + 1]
    )


def _background(random: np.random.Generator, width: int, height: int) -> NDArray[np.float64]:
    """Muted noise with some boxes in it, as clutter."""
    canvas = texture(random, height, width, coarse=60) // 2 + 50
    for _ in range(14):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = int(random.integers(20, 90)), int(random.integers(20, 90))
        color = tuple(int(value) for value in random.integers(60, 170, 3))
        cv2.rectangle(canvas, (x, y), (x + w, y + h), color, -1)
    return cv2.GaussianBlur(canvas, (0, 0), 1.2).astype(np.float64)


def _target_texture(random: np.random.Generator, height: int, width: int) -> Frame:
    """A sign with strong colours: border, disc and stripes over fine noise."""
    patch = texture(random, height, width, coarse=8) // 3
    patch += np.array([150, 60, 20], np.uint8)
    cv2.rectangle(patch, (0, 0), (width - 1, height - 1), (250, 240, 80), max(2, height // 16))
    cv2.circle(patch, (width // 3, height // 2), height // 4, (30, 60, 220), -1, cv2.LINE_AA)
    for stripe in range(3):
        y = round(height * (0.28 + 0.2 * stripe))
        cv2.line(patch, (width * 3 // 5, y), (width * 9 // 10, y), (240, 240, 240), max(2, height // 16), cv2.LINE_AA)
    return patch
