"""What the filter of a lost target says of a box in which a detector sees something: pure functions."""

from __future__ import annotations

import numpy as np

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Box, position_and_size
from trdimp_ros.tracking.image_search import AreaToSearch, ScorePeak
from trdimp_ros.tracking.reacquisition import believable_size
from trdimp_ros.tracking.whereabouts import Whereabouts

ALMOST = 0.99
"""Likeness of a box that would do, were it not for another place that scores about as high."""


def size_factor(whereabouts: Whereabouts, box: Box) -> np.float32:
    """The size of a box in units of the size at which a target was seen clearly last.

    Shapes do not count: detectors have their own view of where an object ends.
    """
    return np.float32(np.sqrt(box.w * box.h) / whereabouts.length)


def area_round(box: Box, index: int, whereabouts: Whereabouts) -> AreaToSearch | None:
    """The search area in which a box is looked at; None where the target cannot have its size.

    Args:
        box: The box in image pixels, of positive width and height.
        index: The target's index on the device.
        whereabouts: What is remembered of the target.
    """
    position, size = position_and_size(box)
    if not believable_size(size, whereabouts.clear_size):
        return None
    fit, factor = whereabouts.last_fit, size_factor(whereabouts, box)
    return AreaToSearch(index, position, fit.clear_size * factor, fit.clear_scale * factor)


def likeness(peak: ScorePeak, box: Box, whereabouts: Whereabouts, config: TrackerConfig) -> float:
    """How much a box looks like a target.

    Args:
        peak: What the target's filter says of the area round the box.
        box: The box.
        whereabouts: What is remembered of the target.
        config: The parameters in force.

    Returns:
        At least 1 where it may be the target again, in units of the least confidence for that. Less than 1 where
        another place in the area scores higher, or nearly as high.
    """
    threshold = max(whereabouts.threshold(config), 1e-3)
    position, size = position_and_size(box)
    inside = bool((np.abs(peak.position - position) <= size / 2).all())
    if not inside:  # the box itself scores no more than the second best
        return min(max(peak.second, 0.0) / threshold, ALMOST)
    value = max(peak.confidence, 0.0) / threshold
    return value if peak.second <= config.reacquire_margin * peak.confidence else min(value, ALMOST)
