"""Follows the camera from image to image, for targets that need not all have been in the same image last.

A target that stands still moves in the image when the camera turns. Its expected place, and the place where a lost
target was seen last, have to move along.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.config import CameraMotionMode
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.image_motion import NO_ESTIMATE, GreyCopy, MotionEstimate, estimate_motion, grey_copy
from trdimp_ros.tracking.similarity import IDENTITY

NOISE = 0.5
"""Motion, in pixels of the grey copy at the image's corners, below which ``auto`` waits for more."""
ROUNDING = 1e-3
"""The same for ``on``: less is the arithmetic's own."""
OLDEST_ANCHOR = 30
"""``auto`` compares with the same image for so many images at most."""
LIVELY = 0.25
"""A camera that moves the image by this share of a target's length from one image to the next is lively: it throws the
target out of place."""
PROBE, ATTENTION = 5, 10
"""``auto`` looks for that in every so-many-th image, and follows a lively camera for so many images."""
CHANGE, CHANGE_AVERAGE = 1.5, 0.1
"""It also looks where an image differs from the one before so many times as much as usual: an average, with this share
of the newest."""


@dataclass
class Anchor:
    """The image that the places of some targets are told in.

    Attributes:
        copy: The image's grey copy.
        boxes: Where the targets were in it, once that has been asked for.
        age: The number of images that were compared with it.
    """

    copy: GreyCopy
    boxes: tuple[Box, ...] = ()
    age: int = 0


class CameraMotion:
    """Follows the camera from image to image, for targets that need not all have been in the same image last.

    In the mode ``auto`` a motion that is no more than noise is not applied, and the next image is compared with the
    same earlier one: a slow turn adds up until it is seen, and on still video the answer is the identity, exactly. A
    target that is seen is followed by the tracker itself; there the camera matters only while it is lively, which
    is looked for now and then, and when the image changes more than usual.

    Args:
        mode: Whether estimates are made: ``off``, ``on`` (in every image for every target, and every trusted one is
            applied) or ``auto``.
    """

    def __init__(self, mode: CameraMotionMode = "auto") -> None:
        self.mode = mode
        self._anchors: dict[Hashable, Anchor] = {}
        self._images = 0
        self._attention = 0
        self._newest: GreyCopy | None = None
        self._usual_change = 0.0

    def forget(self, name: Hashable) -> None:
        """Forget the image that a target was in last: in the next one there is no motion for it."""
        self._anchors.pop(name, None)

    def update(
        self,
        image: NDArray[np.uint8],
        boxes: Mapping[Hashable, Box | None],
        seen: Collection[Hashable] = (),
    ) -> dict[Hashable, MotionEstimate]:
        """The motion from the image that each target was in last to this one.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: Where each target was last; None for one that is lost. What is in a box moves by itself.
            seen: The targets that were seen clearly in their last image.

        Returns:
            What to apply to a target's places; the identity in its first image, and where nothing is to be applied.
        """
        if self.mode == "off" or not boxes:
            return dict.fromkeys(boxes, NO_ESTIMATE)
        copy = grey_copy(image)
        new = Anchor(copy)
        passed_over = set() if self._is_followed(copy) else set(seen)
        known = tuple(box for box in boxes.values() if box is not None)
        groups: dict[int, list[Hashable]] = {}
        for name in boxes:
            if name not in passed_over:
                groups.setdefault(id(self._anchors.get(name)), []).append(name)
        estimates = dict.fromkeys(boxes, NO_ESTIMATE)
        self._anchors.update(dict.fromkeys(passed_over & boxes.keys(), new))
        for names in groups.values():
            anchor = self._anchors.get(names[0])
            thrown = [math.sqrt(box.w * box.h) for name in names if (box := boxes[name]) is not None]
            estimate, keep = NO_ESTIMATE, False
            if anchor is not None:
                estimate, keep = self._compare(anchor, copy, known, min(thrown, default=math.inf))
            for name in names:
                estimates[name] = estimate
                if not keep:
                    self._anchors[name] = new
        return estimates

    def _is_followed(self, copy: GreyCopy) -> bool:
        """Whether an image is compared for all targets, also for those that are seen clearly."""
        self._images += 1
        self._attention = max(self._attention - 1, 0)
        before, self._newest = self._newest, copy
        if self.mode == "on" or before is None or before.image_size != copy.image_size:
            return True
        change = cv2.norm(before.pixels, copy.pixels, cv2.NORM_L1) / copy.pixels.size
        unusual = change > CHANGE * self._usual_change
        self._usual_change += max(CHANGE_AVERAGE, 1 / self._images) * (change - self._usual_change)
        return unusual or self._attention > 0 or self._images % PROBE == 1

    def _compare(
        self, anchor: Anchor, copy: GreyCopy, boxes: tuple[Box, ...], length: float
    ) -> tuple[MotionEstimate, bool]:
        """The motion since an anchor, and whether it is to be compared with the next image too.

        Args:
            anchor: The image to compare with.
            copy: The newest image.
            boxes: What is left out.
            length: That of the smallest target whose place is told in the anchor.
        """
        estimate = estimate_motion(anchor.copy, copy, (*anchor.boxes, *boxes))
        if anchor.age == 0:
            anchor.boxes = boxes
        anchor.age += 1
        rows, columns = copy.image_size
        moved = estimate.motion.displacement(columns, rows)
        if estimate.trusted and moved / anchor.age > LIVELY * length:
            self._attention = ATTENTION
        still = estimate.trusted and moved / copy.factor < (NOISE if self.mode == "auto" else ROUNDING)
        keep = still and self.mode == "auto" and anchor.age < OLDEST_ANCHOR
        return MotionEstimate(IDENTITY, True) if still else estimate, keep
