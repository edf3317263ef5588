"""Views of real targets in their own surroundings: frames of video, or several independent views of one image."""

from __future__ import annotations

from typing import NamedTuple

import torch

from trdimp_ros.training.compositing import Pose, make_pose, render
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.degradation import uniform
from trdimp_ros.training.image_bank import ImageBank
from trdimp_ros.training.image_files import SCENE_SIDE


class RealViews(NamedTuple):
    """I views of each of S real targets.

    Attributes:
        pictures: (I*S, 3, side, side) 0..1.
        boxes: (I*S, 4) x, y, w, h of the target in pixels.
        absent: (I, S) bool, views that show the surroundings of another target instead.
    """

    pictures: torch.Tensor
    boxes: torch.Tensor
    absent: torch.Tensor


def draw_real_views(
    bank: ImageBank,
    config: CompositionConfig,
    center: torch.Tensor,
    size: torch.Tensor,
    absent: torch.Tensor,
    generator: torch.Generator,
) -> RealViews:
    """Choose clips by their weights, frames spread over each clip, and look at each from a slightly different place.

    Args:
        bank: The images, with frames.
        config: What samples look like.
        center: (I*S, 2) where the target's centre lies in the view, in pixels.
        size: (I*S,) sqrt(w*h) of the target in the view, in pixels.
        absent: (I, S) bool, where the target should be missing. Where no other scene is found it stays.
        generator: Source of the random numbers.
    """
    frames, batch = absent.shape
    clips = torch.multinomial(bank.clip_weights, batch, replacement=True, generator=generator)
    others = torch.multinomial(bank.clip_weights, frames * batch, replacement=True, generator=generator)
    absent = absent & (bank.clip_scenes[others].view(frames, batch) != bank.clip_scenes[clips])
    chosen = torch.where(absent, others.view(frames, batch), clips).flatten()
    # Every frame of a sample from another part of its clip, in no order.
    part = torch.argsort(uniform(generator, 0, 1, frames, batch), dim=0)
    fraction = (part + uniform(generator, 0, 1, frames, batch)).flatten() / frames
    length = bank.clip_lengths[chosen]
    index = bank.clip_starts[chosen] + torch.minimum((fraction * length).long(), length - 1)

    texels = bank.frame_boxes[index]  # (I*S, 4)
    half = texels[:, 2:] / SCENE_SIDE  # in units of u
    middle = (texels[:, :2] + texels[:, 2:] / 2) / SCENE_SIDE * 2 - 1
    scale = size * SCENE_SIDE / texels[:, 2:].prod(dim=1).sqrt().clamp_min(1.0)  # side of the whole picture
    pose = _pose(config, scale, frames, batch, generator)
    shift = center - (pose.matrix @ middle[..., None])[..., 0]
    pose = Pose(shift, pose.matrix)
    textures = bank.frames[index].float() / 255
    pictures = render(textures, pose, (config.side, config.side), "border")
    # The box of a turned target: as if it were an ellipse, whose box a rectangle's would overrate.
    extent = (pose.matrix * half[:, None]).square().sum(dim=2).sqrt()  # (I*S, 2) half of width and height
    return RealViews(pictures, torch.cat([center - extent, 2 * extent], dim=1), absent)


def _pose(config: CompositionConfig, scale: torch.Tensor, frames: int, batch: int, generator: torch.Generator) -> Pose:
    """How the whole pictures (I*S,) are turned, sheared and stretched; where they lie is not said yet."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=generator.device)

    amount = config.real_change * uniform(generator, 0, 1, batch)
    rotation = (config.rotation * amount * normal(frames, batch)).flatten()
    shear = (0.5 * config.aspect_change * amount * normal(frames, batch)).flatten()
    stretch = (0.5 * config.aspect_change * amount * normal(frames, batch)).flatten().exp()
    mirrored = (uniform(generator, 0, 1, batch) < 0.5).expand(frames, batch).flatten()
    extent = scale[:, None] * torch.stack([stretch, 1 / stretch], dim=1)
    return make_pose(torch.zeros_like(extent), extent, rotation, shear, mirrored)
