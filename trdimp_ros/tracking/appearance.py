"""What a target looks like: a second opinion on whether something is the target come back.

The target filter looks for what tells a target from its surroundings, and a look-alike has that too. The appearance
head was trained to tell an object from what resembles it (`trdimp_ros.models.appearance_head`). How much its
embeddings of one target differ from image to image differs from target to target (little for a car, much for a
dancer), so a difference is measured by the target's own usual one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMAGES_BETWEEN = 5
"""A target that is seen clearly is looked at in every so-many-th image."""
AVERAGE, MOST_AVERAGE = 0.02, 0.1
"""Share of the newest of these images in what is remembered, and most that it is at first: a new target that something
passes before must not become that."""
LEAST_USUAL = 0.08
"""A target that never changes at all may still change by this much: light, noise, half a pixel. Of a new target no
more is believed at first."""
FIRST_BELIEF = 4
"""So many images that belief is worth."""
CLEAR = 0.9
"""A target is seen clearly enough to be remembered from this share of its usual confidence on."""
STRANGE, FAMILIAR = 3.0, 2.0
"""What is tracked is doubted from the first unlikeness on, until it falls below the second."""
SETTLED = 5
"""After so many images of the target anything may be called strange."""
LEAST, MOST = 0.8, 2.0
"""A place that looks right may score a little lower, one that looks wrong must score higher; not without bound, for a
target may change while nobody sees it."""


@dataclass
class Appearance:
    """The usual embedding of one target, and how much its embeddings differ from image to image.

    Attributes:
        mean: The average embedding (D,); None before the first image.
        usual: The average difference of an image's embedding from that: 1 less the cosine.
        images: The images that were taken in.
    """

    mean: NDArray[np.float32] | None = None
    usual: float = LEAST_USUAL
    images: int = 0

    @property
    def settled(self) -> bool:
        """Whether it is known well enough to call something strange."""
        return self.images >= SETTLED

    def update(self, embedding: NDArray[np.float32]) -> None:
        """Take in an image in which the target is seen clearly; embeddings (D,) are unit vectors."""
        self.images += 1
        if self.mean is None:
            self.mean = embedding
            return
        self.usual += max(AVERAGE, 1 / (self.images + FIRST_BELIEF)) * (self._difference(embedding) - self.usual)
        self.mean = self.mean + np.float32(max(AVERAGE, min(MOST_AVERAGE, 1 / self.images))) * (embedding - self.mean)

    def unlikeness(self, embedding: NDArray[np.float32]) -> float:
        """The difference of a place's embedding in units of the usual one; only after the first image."""
        return self._difference(embedding) / max(self.usual, LEAST_USUAL)

    def _difference(self, embedding: NDArray[np.float32]) -> float:
        assert self.mean is not None
        return 1.0 - float(embedding @ self.mean) / max(float(np.linalg.norm(self.mean)), 1e-6)


def demanded(unlikeness: float | None, accepted: float) -> float:
    """By how much higher or lower a place must score for how it looks, a factor from `LEAST` to `MOST`.

    Args:
        unlikeness: See `Appearance.unlikeness`; None: not known.
        accepted: What is still usual; 0: looks do not count.
    """
    return 1.0 if accepted <= 0 or unlikeness is None else min(max((unlikeness / accepted) ** 2, LEAST), MOST)
