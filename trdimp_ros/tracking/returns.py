"""What is taken for a target come back: it is looked at in several images, not in one alone.

One embedding differs from the target's usual one by chance as well (how the box fits, noise), and by that a look-alike
may pass. In the average of several images chance cancels, and what remains is the difference of the two objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.geometry import Pair
from trdimp_ros.tracking.similarity import Similarity, moved
from trdimp_ros.tracking.target import TargetState, moved_state

IMAGES = 8
"""After so many images a return is settled, one way or the other. Until then the target may be NORMAL, but nothing is
learned."""

SYSTEMATIC = 0.7
"""Share of the accepted unlikeness that is not chance, and does not become less in an average."""

REFUSED, REFUSED_LATE, LATE = 0.8, 0.9, 500
"""A return is refused if the average of so many images is more unlike than the first share of what one image may be. It
rises to the second one in so many images without the target: the longer it is gone, the more it may have changed."""

SAME_THING = 50
"""What was refused at most so many images ago is the same thing if it is where that was: else it would be asked again
until chance lets it pass."""


@dataclass
class Return:
    """One return of a target.

    Attributes:
        fit: The target's state when it was trusted last, before it was lost.
        absence: For how many images it had not been trusted when this began.
        in_past: Whether the images are of the past still, whose motion the fit has made already.
        images: Images that were looked at.
        weight: Images in the sum, with those of an earlier look at the same thing.
        total: The sum of their embeddings (D,).
    """

    fit: TargetState
    absence: int = 0
    in_past: bool = False
    images: int = 0
    weight: int = 0
    total: NDArray[np.float32] | None = None

    def add(self, embedding: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take in what the thing looks like in another image.

        Args:
            embedding: A unit vector (D,).

        Returns:
            The average (D,) of all images, as a unit vector.
        """
        self.images, self.weight = self.images + 1, self.weight + 1
        self.total = embedding if self.total is None else self.total + embedding
        return self.total / np.float32(max(float(np.linalg.norm(self.total)), 1e-6))

    @property
    def on_trial(self) -> bool:
        """Whether looks count, and not enough images have been looked at yet."""
        return 0 < self.images < IMAGES

    def accepted(self, looks: float) -> float:
        """What unlikeness of the average is usual still.

        Args:
            looks: What is for a single image, see `TrackerConfig.reacquire_looks`.
        """
        return looks * (SYSTEMATIC + (1 - SYSTEMATIC) / max(self.weight, 1))

    def is_other(self, unlikeness: float, looks: float) -> bool:
        """Whether it is certainly something else, after enough images.

        Args:
            unlikeness: That of the average.
            looks: See `accepted`.
        """
        share = REFUSED + (REFUSED_LATE - REFUSED) * min(self.absence / LATE, 1.0)
        return looks > 0 and self.weight >= IMAGES and unlikeness > share * looks


class Refusal(NamedTuple):
    """What was taken for the target, and was not.

    Attributes:
        what: What it looked like.
        position: Where it was, row and column; moves with the camera.
        image: The number of the image that it was refused in.
    """

    what: Return
    position: Pair
    image: int


@dataclass
class Returns:
    """The returns of one target.

    Attributes:
        now: What is taken for it, until that is certain; None: nothing, or it is certain.
        refused: What was refused last.
    """

    now: Return | None = None
    refused: Refusal | None = None

    @property
    def on_trial(self) -> bool:
        """Whether something is taken for the target that has not been looked at often enough."""
        return self.now is not None and self.now.on_trial

    def begin(self, now: Return, position: Pair, image: int, reach: float) -> None:
        """Something may be the target come back.

        Args:
            now: What is known of this return.
            position: Where the thing is.
            image: The number of this image.
            reach: How far from where it was what was refused last can be now, at most.
        """
        self.now, refused = now, self.refused
        if refused is None or refused.what.total is None:
            return
        recent = image - refused.image <= SAME_THING
        if recent and float(np.linalg.norm(position - refused.position)) <= reach:
            share = min(1.0, IMAGES / refused.what.weight)
            now.total, now.weight = refused.what.total * np.float32(share), round(share * refused.what.weight)

    def accept(self) -> None:
        """It is the target."""
        self.now = self.refused = None

    def end(self, position: Pair, image: int) -> None:
        """It is not the target, or is not seen any more; what was seen of it is remembered.

        Args:
            position: Where the thing is.
            image: The number of this image.
        """
        if self.now is not None and self.now.weight:
            self.refused = Refusal(self.now, position, image)
        self.now = None

    def move(self, motion: Similarity, with_fit: bool) -> None:
        """Take part in the camera's motion.

        Args:
            motion: The motion of the image.
            with_fit: Whether the place of the target moves too: not where the camera follows it.
        """
        if self.now is not None and with_fit and not self.now.in_past:
            self.now.fit = moved_state(self.now.fit, motion)
        if self.refused is not None:
            self.refused = self.refused._replace(position=moved(self.refused.position, motion))
