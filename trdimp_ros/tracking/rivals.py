"""The second peak of a score map: something near the target that scores nearly as high, perhaps the target itself."""

from __future__ import annotations

import numpy as np
import torch

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Box, Pair, box_at
from trdimp_ros.tracking.localization import find_peak, without_neighborhood
from trdimp_ros.tracking.target import LocatedFrame

DOUBT = 1.25
"""From this unlikeness on it is asked whether the second peak is the target."""
SHIFTS = (-0.16, 0.0, 0.16)
"""Places round the second peak that are looked at, in sizes of the target."""
BETTER = 0.6
"""It is, if its unlikeness is below this share of the first one's."""


def second_peak(
    scores: torch.Tensor, located: LocatedFrame, size: Pair, config: TrackerConfig, filter_size: int
) -> tuple[Pair, float]:
    """Where a score map is highest away from its peak.

    Args:
        scores: The score map (H, W), on any device.
        located: The frame that it belongs to.
        size: The target's height and width in the image.
        config: The parameters in force.
        filter_size: Side of the target filter in feature cells.

    Returns:
        Row and column in the image, and the score there.
    """
    scores = scores[None].float().cpu()
    cells = np.asarray(scores.shape[1:], np.float32)
    cell = config.image_sample_size / (cells - (filter_size + 1) % 2) * np.float32(located.sample_scale)  # image pixels
    neighborhood = torch.from_numpy((config.target_neighborhood_scale * size / cell).astype(np.float32))
    _, first = find_peak(scores)
    value, second = find_peak(without_neighborhood(scores, first, neighborhood[None]))
    offset = (second[0].numpy() - (cells - 1) / 2) * cell
    return (located.sample_position + offset).astype(np.float32), float(value)


def boxes_near(position: Pair, size: Pair) -> list[Box]:
    """Boxes of one size at and round a place: a score map is too coarse to say where exactly something is."""
    steps = [np.array([row, column], np.float32) for row in SHIFTS for column in SHIFTS]
    return [box_at(position + step * size, size) for step in steps]
