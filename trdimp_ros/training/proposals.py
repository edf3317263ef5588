"""Boxes to train the box regressor on, and the densities that its loss needs (PrDiMP, section 3.2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

TRUE_DEVIATION = 0.05
"""Width of the wanted density, in relative centre and log size."""

PROPOSAL_DEVIATIONS = (0.05, 0.5)
"""Proposals are drawn from a mixture of two Gaussians of these widths."""


class Proposals(NamedTuple):
    """Boxes round true ones.

    Attributes:
        boxes: (..., R, 4) x, y, w, h.
        density: (..., R) of the mixture that they were drawn from.
        true_density: (..., R) wanted of the regressor.
    """

    boxes: torch.Tensor
    density: torch.Tensor
    true_density: torch.Tensor


def draw_proposals(boxes: torch.Tensor, count: int, generator: torch.Generator) -> Proposals:
    """Draw boxes round true boxes (..., 4) in relative coordinates: centre in units of the box's size, log size."""
    shape = (*boxes.shape[:-1], count)
    device = boxes.device
    widths = torch.tensor(PROPOSAL_DEVIATIONS, device=device)
    component = torch.randint(len(widths), shape, generator=generator, device=device)
    offset = torch.randn(*shape, 4, generator=generator, device=device) * widths[component][..., None]
    size = boxes[..., None, 2:] * offset[..., 2:].exp()
    center = boxes[..., None, :2] + boxes[..., None, 2:] * (0.5 + offset[..., :2])
    density = torch.stack([_gaussian(offset, deviation) for deviation in PROPOSAL_DEVIATIONS]).mean(dim=0)
    return Proposals(torch.cat([center - size / 2, size], dim=-1), density, _gaussian(offset, TRUE_DEVIATION))


def _gaussian(offset: torch.Tensor, deviation: float) -> torch.Tensor:
    """Density (...) of offsets (..., 4) under independent Gaussians."""
    exponent = -0.5 * (offset / deviation).square().sum(dim=-1)
    return exponent.exp() / (math.sqrt(2 * math.pi) * deviation) ** offset.shape[-1]
