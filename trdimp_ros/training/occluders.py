"""What hides a target in some test frames: other objects, and the straight edges of posts, walls and door frames."""

from __future__ import annotations

import torch

from trdimp_ros.training.compositing import Pose, make_pose, paint, render
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.cutouts import Cutouts
from trdimp_ros.training.degradation import uniform
from trdimp_ros.training.image_bank import ImageBank

POST_LENGTH = 6.0
"""Length of a post in sizes of the target's longer side: it leaves the search area on both sides."""


def add_occluder(
    pictures: torch.Tensor,
    coverage: torch.Tensor,
    boxes: torch.Tensor,
    may_hide: torch.Tensor,
    config: CompositionConfig,
    bank: ImageBank,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide a part of the target, or all of it, in some frames.

    Args:
        pictures: The frames (I*S, 3, H, W), 0..1.
        coverage: How much of each pixel is the target, (I*S, H, W), 0..1.
        boxes: The target's boxes (I*S, 4) x, y, w, h in pixels.
        may_hide: Which of the I frames of a target may be chosen, (I,) bool.
        config: How often, and how objects change.
        bank: The objects and backgrounds that occluders are made of.
        generator: The source of the random numbers.

    Returns:
        The pictures, and what of the coverage can still be seen.
    """
    frames = len(may_hide)
    batch = len(boxes) // frames
    used = (uniform(generator, 0, 1, frames, batch) < config.occluded_share) & may_hide[:, None]
    rows = torch.nonzero(used.flatten())[:, 0]
    occluder = Cutouts.draw(bank, config, frames, batch, generator)
    if not len(rows):
        return pictures, coverage
    size = boxes[:, 2:].clamp_min(4.0)
    center = boxes[:, :2] + size / 2 + uniform(generator, -0.8, 0.8, len(boxes), 2) * size
    object_pose = occluder.pose(center, size * uniform(generator, 0.6, 1.8, len(boxes), 2)).select(rows)
    textures = occluder.textures[rows]

    post = uniform(generator, 0, 1, len(rows)) < config.post_share
    post_pose = _post_pose(center[rows], size[rows], generator)
    matrix = torch.where(post[:, None, None], post_pose.matrix, object_pose.matrix)
    surfaces = _surfaces(bank, len(rows), textures.shape[-1], generator)
    textures = torch.where(post[:, None, None, None], surfaces, textures)

    layer = render(textures, Pose(center[rows], matrix), (config.side, config.side), "zeros")
    left = coverage[rows] * (1 - layer[:, 3])
    return pictures.index_copy(0, rows, paint(pictures[rows], layer)), coverage.index_copy(0, rows, left)


def _post_pose(center: torch.Tensor, size: torch.Tensor, generator: torch.Generator) -> Pose:
    """Long bars through centres (N, 2), mostly nearly upright or level, a fifth to twice as wide as the target."""
    count, device = len(center), center.device
    level = uniform(generator, 0, 1, count) < 0.4
    tilt = 0.2 * torch.randn(count, generator=generator, device=device)
    rotation = torch.where(level, 1.5708 + tilt, tilt)
    across = torch.where(level, size[:, 1], size[:, 0]) * uniform(generator, 0.2, 2.0, count)
    extent = torch.stack([across, POST_LENGTH * size.amax(dim=1)], dim=1)
    return make_pose(center, extent, rotation, torch.zeros_like(rotation), level)


def _surfaces(bank: ImageBank, count: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Opaque textures (N, 4, side, side): pieces of backgrounds, more or less faded to their mean colour."""
    device = bank.device
    chosen = torch.randint(len(bank.backgrounds), (count,), generator=generator, device=device)
    rgb = bank.backgrounds[chosen].float() / 255
    rgb = torch.nn.functional.interpolate(rgb, size=(side, side), mode="bilinear", antialias=True)
    rgb = rgb.lerp(rgb.mean(dim=(2, 3), keepdim=True).expand_as(rgb), uniform(generator, 0, 1, count, 1, 1, 1))
    return torch.cat([rgb, torch.ones_like(rgb[:, :1])], dim=1)
