"""Synthetic clips of whole images with smooth motion: for validation and for choosing thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.training.compositing import covered_box, make_pose, paint, render
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.cutouts import Cutouts, smooth_noise
from trdimp_ros.training.degradation import add_noise, blur, change_light, compress, uniform
from trdimp_ros.training.image_bank import ImageBank

CLIP_SIZE = (240, 320)
"""Height and width of the images."""

SMOOTHING = 12
"""Frames over which motion is smooth."""


@dataclass(frozen=True)
class Clip:
    """A clip with its truth.

    Attributes:
        frames: (H, W, 3) uint8 RGB each.
        boxes: (I, 4) x, y, w, h, also where the target is hidden or outside.
        visible: (I,) share of the target that is to be seen, 0..1.
    """

    frames: list[NDArray[np.uint8]]
    boxes: NDArray[np.float32]
    visible: NDArray[np.float32]


def synthetic_clip(bank: ImageBank, seed: int, frames: int = 60, leaves: bool = False) -> Clip:
    """Compose a clip.

    Args:
        bank: The objects and backgrounds to choose from.
        seed: Seed of the clip; the same one gives the same clip.
        frames: The clip's length.
        leaves: The target leaves the picture in the middle of the clip and returns.
    """
    generator = torch.Generator(bank.device).manual_seed(seed)
    config = CompositionConfig(elasticity=0.03, aspect_change=0.12, rotation=0.15)
    height, width = CLIP_SIZE

    def walk(*shape: int) -> torch.Tensor:
        return smooth_noise(generator, SMOOTHING, frames, *shape)

    scene = int(torch.randint(len(bank.backgrounds), (1,), generator=generator, device=bank.device))
    texture = (bank.backgrounds[scene].float() / 255).expand(frames, -1, -1, -1)
    sizes = bank.background_sizes[scene]
    zoom = 1.3 * height / float(sizes.amin()) * torch.exp(0.05 * walk())
    middle = torch.tensor([width / 2, height / 2], device=bank.device)
    camera = 12.0 * walk(2)
    upright = torch.zeros(frames, device=bank.device)
    background = make_pose(middle + camera, sizes * zoom[:, None], 0.02 * walk(), upright, upright > 0)
    pictures = render(texture, background, CLIP_SIZE, "reflection")

    target = Cutouts.draw(bank, config, frames, 1, generator, smoothing=SMOOTHING)
    scale = float(uniform(generator, 0.14, 0.26, 1)) * height * torch.exp(0.12 * walk())
    root = target.aspect.sqrt()
    start = (uniform(generator, -0.2, 0.2, 2) * 2 * middle).expand(frames, 2)
    center = middle + start + (walk(2) - walk(2)[:1]) * 0.12 * height
    center = torch.minimum(torch.maximum(center, 0.15 * middle), 1.85 * middle)
    if leaves:
        center = center + _excursion(frames, width, generator)
    extent = scale[:, None] * torch.stack([root, 1 / root], dim=1)
    pose = target.pose(center, extent)

    neighbour = Cutouts.draw(bank, config, frames, 1, generator, smoothing=SMOOTHING)
    beside = middle + uniform(generator, -0.8, 0.8, 2) * middle + walk(2) * 0.15 * height
    neighbour_size = scale * float(uniform(generator, 0.7, 1.3, 1))
    pictures = paint(
        pictures,
        render(neighbour.textures, neighbour.pose(beside, neighbour_size[:, None].expand(-1, 2)), CLIP_SIZE, "zeros"),
    )
    layer = render(target.textures, pose, CLIP_SIZE, "zeros")
    pictures = paint(pictures, layer)
    # Something that stands before the target's way.
    occluder = Cutouts.draw(bank, config, 1, 1, generator)
    place = center[frames // 3][None] + uniform(generator, -0.3, 0.3, 1, 2) * extent[:1]
    before = render(occluder.textures, occluder.pose(place, 0.7 * extent[:1]), CLIP_SIZE, "zeros").expand(
        frames, -1, -1, -1
    )
    pictures = paint(pictures, before)

    seen = (layer[:, 3] * (1 - before[:, 3])).sum(dim=(1, 2))
    area = 4 * torch.linalg.det(pose.matrix).abs() * target.textures[:, 3].mean(dim=(1, 2))
    pictures = change_light(pictures, torch.full((frames,), 0.05, device=bank.device), generator).clamp(0, 1)
    pictures = compress(add_noise(blur(pictures, 0.1, generator), 0.5, generator), 0.3, generator).clamp(0, 1)
    images = (pictures * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return Clip(
        frames=list(images),
        boxes=covered_box(target.textures[:, 3], pose).cpu().numpy(),
        visible=(seen / area.clamp_min(1.0)).clamp(0, 1).cpu().numpy(),
    )


def _excursion(frames: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """A shift (I, 2) out of the picture and back."""
    time = torch.linspace(0, 1, frames, device=generator.device)
    out = torch.sigmoid((time - 0.45) * 40) * torch.sigmoid((0.7 - time) * 40)
    side = 1.0 if float(uniform(generator, 0, 1, 1)) < 0.5 else -1.0
    return torch.stack([out * side * 1.3 * width, torch.zeros_like(out)], dim=1)
