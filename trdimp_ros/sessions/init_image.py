"""The image that a box was drawn in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.image_buffer import BufferedImage, ImageBuffer
from trdimp_ros.sessions.requests import InitRequest
from trdimp_ros.sessions.stillness import stayed_in_place
from trdimp_ros.tracking import Box

MAX_GAP = 1_000_000_000
"""Greatest distance in time, nanoseconds, between the two images that stand in for one that is not kept."""


class ImageFinder:
    """Finds the image that a request names, or one that shows the target in the same place.

    Args:
        images: The images that are kept.
        patience: A request waits so many seconds for its image; None: for as long as it takes.
        clock: The monotonic clock, seconds.
    """

    def __init__(self, images: ImageBuffer, patience: float | None, clock: Callable[[], float]) -> None:
        self._images = images
        self._patience = patience
        self._clock = clock

    @property
    def images(self) -> ImageBuffer:
        """The images that are kept."""
        return self._images

    def is_decided(self, stamp: int, since: float) -> bool:
        """Whether a request need not wait for its image any longer: it is there, or there is no hope of it.

        Args:
            stamp: The stamp that the request names, nanoseconds; 0: the newest image.
            since: When it was made, seconds of the monotonic clock.
        """
        newest = self._images.newest()
        if newest is not None and stamp <= newest.stamp:
            return True
        if stamp == 0:
            return newest is not None
        return self.is_out_of_patience(since)

    def is_out_of_patience(self, since: float) -> bool:
        """Whether a request that was made then, seconds of the monotonic clock, must not wait any longer."""
        return self._patience is not None and self._clock() - since > self._patience

    def find(self, request: InitRequest) -> tuple[BufferedImage, NDArray[np.uint8]]:
        """The image and its pixels (H, W, 3).

        An image that is not kept any more is replaced by the nearest one that is, if the images on both sides of it
        show that the target has not moved.

        Raises:
            ValueError: saying why there is none.
        """
        image = self._images.newest() if request.stamp == 0 else self._images.find(request.stamp)
        if image is None:
            image, _ = self.stand_in(request.stamp, [request.box])
        return image, decode(image)

    def stand_in(self, stamp: int, boxes: Sequence[Box]) -> tuple[BufferedImage, list[bool]]:
        """The nearest image to one that is not kept, and which boxes show the same in the images on both sides of it.

        Args:
            stamp: The stamp of the image that is missing, nanoseconds.
            boxes: Boxes that were drawn in it.

        Raises:
            ValueError: where no image is near, or none of the boxes shows the same.
        """
        newest = self._images.newest()
        named = f"the image with stamp {stamp / 1e9:.3f} s"
        if newest is None:
            raise ValueError(f"no image has arrived, so {named} has not either; does the camera run?")
        if stamp > newest.stamp:
            raise ValueError(
                f"{named} has not arrived, the newest has {newest.stamp / 1e9:.3f} s; is the box stamped with the "
                "header of its image?"
            )
        before, after = self._images.neighbors(stamp)
        if before is None or after is None or after.stamp - before.stamp > MAX_GAP:
            raise ValueError(f"{named} is not kept any more; raise frame_buffer, or send the box sooner")
        sides = decode(before), decode(after)
        stayed = [stayed_in_place(*sides, box) for box in boxes]
        if not any(stayed):
            raise ValueError(
                f"{named} is not kept any more, and the target has moved since; raise frame_buffer, or send the box "
                "sooner"
            )
        return (before if stamp - before.stamp <= after.stamp - stamp else after), stayed


def decode(image: BufferedImage) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) of the image that a box was drawn in.

    Raises:
        ValueError: where it cannot be decoded.
    """
    try:
        return image.source.decode()
    except ValueError as error:
        raise ValueError(f"its image cannot be decoded: {error}") from error
