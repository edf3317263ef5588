"""What a target looks like, in a few colours: a second opinion on whether something is the target come back.

The target filter looks for what tells a target from its surroundings, and a look-alike has that too. The layout of
colours within the box is cruder, and knows nothing of surroundings. How much it differs from image to image differs
from target to target (little for a car, much for a dancer), so a difference is measured by the target's own usual one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.geometry import Box

CELLS = 4
"""The box is divided into so many cells along each side."""
SAMPLES = 8
"""Each cell is the mean of so many points along each side."""
AVERAGE = 0.02
"""Share of the newest image in what is remembered."""
LEAST_USUAL = 0.35
"""A target that never changes at all may still change by this much: light, noise, half a pixel."""
LEAST_IMAGES = 10
"""Of a target that was seen in fewer images it is not known how much its looks differ usually."""
MOST_NEAR, MOST_FAR = 1.1, 1.4
"""A place that looks wrong must score at most this many times as high, near where the target was lost and far from
there: what reappears where it disappeared is probably the same, and the filter may know better."""
NEAR, FAR = 3.0, 6.0
"""What near and far mean, in lengths of the target."""


def color_layout(image: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
    """The mean colours of a box's cells, as logarithms without their common mean: exposure does not count.

    Args:
        image: (H, W, 3) uint8.
        box: In image pixels, of positive width and height; what lies outside the image is taken from its edge.

    Returns:
        (48,) numbers; a difference of 0.1 in one of them is a tenth of its brightness.
    """
    side = CELLS * SAMPLES
    places = (np.arange(side) + 0.5) / side
    rows = np.clip(box.y + places * box.h, 0, image.shape[0] - 1).astype(np.intp)
    columns = np.clip(box.x + places * box.w, 0, image.shape[1] - 1).astype(np.intp)
    points = image[rows[:, None], columns].astype(np.float32)  # (side, side, 3)
    cells = points.reshape(CELLS, SAMPLES, CELLS, SAMPLES, 3).mean(axis=(1, 3))
    layout = np.log1p(cells).ravel()
    return np.asarray(layout - layout.mean(), np.float32)


@dataclass
class Appearance:
    """The usual colours of one target, and how much they differ from image to image.

    Attributes:
        mean: The average layout (48,); None before the first image.
        usual: The average distance of an image's layout from that.
        images: The images that were taken in.
    """

    mean: NDArray[np.float32] | None = None
    usual: float = 0.0
    images: int = 0

    def update(self, layout: NDArray[np.float32]) -> None:
        """Take in an image in which the target is seen clearly."""
        self.images += 1
        if self.mean is None:
            self.mean = layout
            return
        distance = float(np.linalg.norm(layout - self.mean))
        self.usual += max(AVERAGE, 1 / (self.images - 1)) * (distance - self.usual)
        self.mean = self.mean + np.float32(max(AVERAGE, 1 / self.images)) * (layout - self.mean)

    def unlikeness(self, layout: NDArray[np.float32]) -> float:
        """The distance of a place's layout in units of the usual one; 0 while that is not known."""
        if self.mean is None or self.images < LEAST_IMAGES:
            return 0.0
        return float(np.linalg.norm(layout - self.mean)) / max(self.usual, LEAST_USUAL)


def demanded(unlikeness: float, accepted: float, distance: float) -> float:
    """By how much higher a place must score for how it looks.

    Args:
        unlikeness: See `Appearance.unlikeness`.
        accepted: What is still usual; 0: looks do not count.
        distance: How far away the place is from where the target was lost, in its lengths.

    Returns:
        A factor from 1 to `MOST_FAR`.
    """
    if accepted <= 0:
        return 1.0
    share = min(max((distance - NEAR) / (FAR - NEAR), 0.0), 1.0)
    most = MOST_NEAR + share * (MOST_FAR - MOST_NEAR)
    return min(max(unlikeness / accepted, 1.0), most)
