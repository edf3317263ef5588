"""Similarities of the image plane: shift, turn and change of scale, as a camera's motion is told."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trdimp_ros.tracking.geometry import Pair


class Similarity(NamedTuple):
    """A map of image coordinates that keeps angles: x' = a*x - b*y + shift_x, y' = b*x + a*y + shift_y."""

    a: float = 1.0
    b: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0

    @property
    def scale(self) -> float:
        """How many times longer things become."""
        return math.hypot(self.a, self.b)

    @property
    def turn(self) -> float:
        """Angle in radians, from x towards y."""
        return math.atan2(self.b, self.a)

    def apply(self, x: float, y: float) -> tuple[float, float]:
        """Where a point goes."""
        return self.a * x - self.b * y + self.shift_x, self.b * x + self.a * y + self.shift_y

    def after(self, first: Similarity) -> Similarity:
        """The map that applies ``first`` and then this one."""
        shift_x, shift_y = self.apply(first.shift_x, first.shift_y)
        return Similarity(self.a * first.a - self.b * first.b, self.b * first.a + self.a * first.b, shift_x, shift_y)

    def inverse(self) -> Similarity:
        """The map back.

        Raises:
            ValueError: when all points go to the same place.
        """
        square = self.a * self.a + self.b * self.b
        if square == 0.0:
            raise ValueError("a similarity of scale 0 has no inverse")
        a, b = self.a / square, -self.b / square
        return Similarity(a, b, -(a * self.shift_x - b * self.shift_y), -(b * self.shift_x + a * self.shift_y))

    def displacement(self, width: float, height: float) -> float:
        """How far the corner that moves most is moved, of an image of this size whose pixel centres are integers."""
        corners = [(0.0, 0.0), (width - 1, 0.0), (0.0, height - 1), (width - 1, height - 1)]
        return max(math.dist(corner, self.apply(*corner)) for corner in corners)


def moved(position: Pair, motion: Similarity) -> Pair:
    """Where a position (row, column) is after a motion of the image."""
    x, y = motion.apply(float(position[1]), float(position[0]))
    return np.array([y, x], np.float32)


IDENTITY = Similarity()
"""Nothing moves."""
