"""Close views of targets and of what resembles them, for the appearance head: cut from the frames of a batch.

A look-alike is made of the target's own view. So all that surrounds it, its light and its blur are the target's, and
only what it looks like can tell the two apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from trdimp_ros.models.appearance_head import VIEW_MARGIN, VIEW_SIDE
from trdimp_ros.training.degradation import uniform
from trdimp_ros.training.samples import LOOK_ALIKE_MIXTURE, Samples

SHIFT, SCALE = 0.08, 0.1
"""How badly the tracker's boxes fit: shift of the middle in sizes, and log of each side (standard deviations)."""

MIXED, PARTLY_OTHER = 0.5, 0.25
"""Shares of look-alikes whose texture is a mixture, and of those of which one side is another object; the rest have
other colours."""

PART = 0.35, 0.65
"""Where the other object begins, in shares of the view."""

LEAST_DIFFERENCE = 12.0
"""Grey levels by which a look-alike differs on average."""

LEAST_HUE = 1.0
"""The least angle, in radians, by which other colours are turned round the grey axis."""


class CloseViews(NamedTuple):
    """Views of I frames of each of S targets.

    Attributes:
        targets: (I, S, 3, 80, 80) RGB 0..255.
        look_alikes: (I, S, 3, 80, 80) of something that resembles each target, the same thing in all frames.
        elsewhere: (I, S, 3, 80, 80) of other places in the frames.
        present: (I, S) bool, whether the target can be seen.
        distinct: (I, S) bool, whether the look-alike differs from it: a grey thing in other colours does not.
    """

    targets: torch.Tensor
    look_alikes: torch.Tensor
    elsewhere: torch.Tensor
    present: torch.Tensor
    distinct: torch.Tensor


def draw_close_views(samples: Samples, generator: torch.Generator) -> CloseViews:
    """Cut close views from a batch.

    Args:
        samples: The batch, of at least two targets.
        generator: Source of the random numbers.
    """
    frames, batch = samples.present.shape
    boxes = samples.boxes.flatten(0, 1)  # (I*S, 4)
    images = samples.images.flatten(0, 1)
    badly = _jitter(boxes, generator)
    targets = cut_views(images, badly).unflatten(0, (frames, batch))
    elsewhere = cut_views(images, _elsewhere(boxes, images.shape[-1], generator)).unflatten(0, (frames, batch))
    look_alikes = resembling(targets, generator)
    distinct = (look_alikes - targets).abs().mean(dim=(2, 3, 4)) > LEAST_DIFFERENCE
    return CloseViews(targets, look_alikes, elsewhere, samples.present, distinct)


def cut_views(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Close views (N, 3, 80, 80) of boxes (N, 4) x, y, w, h in pixels of images (N, 3, H, W)."""
    height, width = images.shape[2:]
    line = (torch.arange(VIEW_SIDE, device=images.device) + 0.5) / VIEW_SIDE - 0.5
    places = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1) * VIEW_MARGIN  # (80, 80, 2)
    middle, size = boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]
    pixels = middle[:, None, None] + places * size[:, None, None]
    grid = pixels / torch.tensor([width, height], device=images.device) * 2 - 1
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def resembling(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """For each target of (I, S, 3, 80, 80) something that resembles it, the same in all its frames.

    Either its texture is mixed with another target's, or one side of it is another target's, or its colours are others.
    """
    batch = views.shape[1]
    others = views.roll(int(torch.randint(1, batch, (1,), generator=generator, device=generator.device)), dims=1)
    line = (torch.arange(VIEW_SIDE, device=views.device) + 0.5) / VIEW_SIDE
    kind = uniform(generator, 0, 1, batch)[:, None, None]
    mixture = uniform(generator, *LOOK_ALIKE_MIXTURE, batch)[:, None, None].expand(-1, VIEW_SIDE, VIEW_SIDE)
    beginning = uniform(generator, *PART, batch)[:, None]
    half = (line > beginning).float()  # (S, 80)
    half = torch.where(uniform(generator, 0, 1, batch, 1) < 0.5, half, 1 - half)
    upright = (uniform(generator, 0, 1, batch) < 0.5)[:, None, None]
    side = torch.where(upright, half[:, :, None], half[:, None, :])
    weight = torch.where(kind < MIXED, mixture, side)[:, None]  # (S, 1, 80, 80)
    combined = views + weight * (others - views)
    recolored = _turn_hue(views, uniform(generator, LEAST_HUE, 2 * torch.pi - LEAST_HUE, batch))
    return torch.where(kind[:, None] < MIXED + PARTLY_OTHER, combined, recolored).clamp(0, 255)


def _turn_hue(views: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Turn the colours of (I, S, 3, H, W) round the grey axis by angles (S,)."""
    cos, sin, third = angle.cos(), angle.sin(), 1 / 3
    same, other = cos + third * (1 - cos), third * (1 - cos)
    root = sin * third**0.5
    rows = [[same, other - root, other + root], [other + root, same, other - root], [other - root, other + root, same]]
    matrix = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)  # (S, 3, 3)
    return torch.einsum("scd,isdhw->ischw", matrix, views)


def _jitter(boxes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Boxes (N, 4) as a tracker finds them."""
    normal = torch.randn(len(boxes), 4, generator=generator, device=boxes.device)
    size = boxes[:, 2:] * (SCALE * normal[:, 2:]).exp()
    middle = boxes[:, :2] + boxes[:, 2:] / 2 + SHIFT * boxes[:, 2:] * normal[:, :2]
    return torch.cat([middle - size / 2, size], dim=1)


def _elsewhere(boxes: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """Boxes of the same sizes one to two sizes away, towards the middle of the picture where they would leave it."""
    angle = uniform(generator, 0, 2 * torch.pi, len(boxes))
    distance = uniform(generator, 1.0, 2.0, len(boxes), 1)
    step = distance * boxes[:, 2:] * torch.stack([angle.cos(), angle.sin()], dim=1).sign()
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    inside = ((middle + step) > 0) & ((middle + step) < side)
    return torch.cat([boxes[:, :2] + torch.where(inside, step, -step), boxes[:, 2:]], dim=1)
