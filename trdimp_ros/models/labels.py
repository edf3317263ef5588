"""Gaussian label maps: where in a feature map or a score map the target is."""

from __future__ import annotations

import math

import torch

MASK_SIGMA = 0.1
"""Standard deviation of the transformer's masks, as a share of the feature map's side (TrDiMP, section 3)."""

LABEL_SIGMA = 1.0 / 24.0
"""Standard deviation of the classifier's training labels, as a share of the feature map's side (DiMP, section 4)."""


def gaussian_label(
    boxes: torch.Tensor,
    feature_size: tuple[int, int],
    image_size: tuple[int, int],
    filter_size: int,
    sigma_factor: float = MASK_SIGMA,
    end_pad: bool = False,
    density: bool = False,
) -> torch.Tensor:
    """A Gaussian bump at the centre of each box.

    Args:
        boxes: (N, 4) float boxes x, y, w, h in pixels of the network input; the centre is corner + size/2.
        feature_size: Rows and columns of the feature map.
        image_size: Height and width of the network input in pixels.
        filter_size: Side of the target filter; an even filter shifts the map by half a cell.
        sigma_factor: Standard deviation divided by sqrt(rows * columns).
        end_pad: Whether an even filter gives one more row and column, the size of a score map.
        density: Normalise to a probability density (per cell) instead of a peak of 1.

    Returns:
        (N, rows, columns) or, with ``end_pad`` and an even filter, (N, rows + 1, columns + 1).
    """
    even = filter_size % 2 == 0
    sigma = sigma_factor * math.sqrt(feature_size[0] * feature_size[1])
    center = boxes[:, :2] + 0.5 * boxes[:, 2:]  # (N, 2): x, y
    profiles = []
    for axis in (0, 1):
        cells = feature_size[axis]
        position = cells * ((center[:, 1 - axis] - image_size[axis] / 2) / image_size[axis])
        if even:
            position = position + 0.5
        length = cells + int(end_pad and even)
        grid = torch.arange(length, device=boxes.device, dtype=boxes.dtype) - (cells - 1) / 2
        profile = torch.exp(-((grid[None] - position[:, None]) ** 2) / (2 * sigma**2))  # (N, length)
        profiles.append(profile / (math.sqrt(2 * math.pi) * sigma) if density else profile)
    return profiles[0][:, :, None] * profiles[1][:, None, :]
