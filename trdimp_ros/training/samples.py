"""Random training samples: search areas of synthetic clips, with exact boxes, composed on the device.

A sample is a handful of frames of one target: template frames, from which the network learns it, and test frames, in
which it must find it. Frames are rendered as search areas at once; no whole image is ever made.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from trdimp_ros.training.compositing import Pose, covered_box, make_pose, paint, render
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.cutouts import Cutouts
from trdimp_ros.training.degradation import (
    add_noise,
    blur,
    change_light,
    compress,
    lower_resolution,
    remove_color,
    uniform,
)
from trdimp_ros.training.image_bank import ImageBank

VISIBLE = 0.2
"""A target of which less is to be seen counts as absent."""


class Samples(NamedTuple):
    """A batch: I frames of each of S targets, template frames first.

    Attributes:
        images: (I, S, 3, side, side) float RGB 0..255.
        boxes: (I, S, 4) x, y, w, h of the target in pixels, also where it is hidden or absent.
        present: (I, S) bool, whether the target can be seen.
    """

    images: torch.Tensor
    boxes: torch.Tensor
    present: torch.Tensor


def draw_samples(
    bank: ImageBank,
    config: CompositionConfig,
    templates: int,
    tests: int,
    batch: int,
    generator: torch.Generator,
) -> Samples:
    """Compose a batch.

    Args:
        bank: On the generator's device.
        config: What the samples look like.
        templates: Template frames of each target; the target is present in all of them.
        tests: Test frames.
        batch: Number of targets.
        generator: Of all random numbers; the same state gives the same batch.
    """
    frames = templates + tests
    real = uniform(generator, 0, 1, batch) < (config.real_share if len(bank.clip_boxes) else 0.0)
    is_test = torch.arange(frames, device=bank.device) >= templates
    absent = (uniform(generator, 0, 1, frames, batch) < config.absent_share) & is_test[:, None] & ~real

    scene = _scenes(bank, config, frames, real, is_test, generator)
    padding = "reflection" if float(uniform(generator, 0, 1, 1)) < 0.5 else "border"
    size = (config.side, config.side)
    pictures = render(scene.textures[:, :3], scene.pose, size, padding)

    target = Cutouts.draw(bank, config, frames, batch, generator)
    center, extent = _target_places(config, frames, batch, is_test, target.aspect, generator)
    target_pose = target.pose(center, extent)
    for _ in range(config.distractors):
        pictures = _add_distractor(pictures, bank, config, frames, target, center, extent, absent, generator)

    shown = torch.nonzero(~(absent | real).flatten())[:, 0]
    layer = torch.zeros(frames * batch, 4, *size, device=bank.device)
    layer = layer.index_copy(0, shown, render(target.textures[shown], target_pose.select(shown), size, "zeros"))
    pictures = paint(pictures, layer)

    boxes = covered_box(target.textures[:, 3], target_pose)
    pictures, seen = _add_occluder(pictures, layer[:, 3], bank, config, frames, boxes, is_test, generator)
    area = 4 * torch.linalg.det(target_pose.matrix).abs() * target.textures[:, 3].mean(dim=(1, 2))
    visible = seen.sum(dim=(1, 2)) / area.clamp_min(1.0)

    real_frames = real.expand(frames, batch).flatten()
    boxes = torch.where(real_frames[:, None], scene.boxes, boxes)
    present = (real_frames | (visible > VISIBLE)).view(frames, batch) & ~absent
    present = present | ~is_test[:, None]
    pictures = _degrade(pictures, config, frames, batch, generator)
    return Samples(
        (pictures.clamp(0, 1) * 255).view(frames, batch, 3, *size),
        boxes.view(frames, batch, 4),
        present,
    )


def _jitter(
    config: CompositionConfig, frames: int, batch: int, is_test: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Offset (I*S, 2) of the target from the crop's centre and its size sqrt(w*h) (I*S,), both in pixels."""
    amount = torch.where(is_test, 1.0, 0.4)[:, None].expand(frames, batch).flatten()
    size = config.side / config.search_area_scale
    scale = torch.exp(
        amount * config.scale_jitter * torch.randn(frames * batch, generator=generator, device=generator.device)
    )
    reach = config.center_jitter * config.side
    offset = amount[:, None] * uniform(generator, -reach, reach, frames * batch, 2)
    return offset, size * scale.clamp(0.4, 2.5)


def _target_places(
    config: CompositionConfig,
    frames: int,
    batch: int,
    is_test: torch.Tensor,
    aspect: torch.Tensor,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre (I*S, 2) and width and height (I*S, 2) of the targets."""
    offset, size = _jitter(config, frames, batch, is_test, generator)
    root = aspect.sqrt()
    return config.side / 2 + offset, size[:, None] * torch.stack([root, 1 / root], dim=1)


class _Scenes(NamedTuple):
    textures: torch.Tensor  # (I*S, 4, h, w) 0..1
    pose: Pose
    boxes: torch.Tensor  # (I*S, 4) of the object of a real frame


def _scenes(
    bank: ImageBank,
    config: CompositionConfig,
    frames: int,
    real: torch.Tensor,
    is_test: torch.Tensor,
    generator: torch.Generator,
) -> _Scenes:
    """What lies behind: a background under a moving camera, or a frame of a real clip, centred near its object."""
    batch, device = len(real), bank.device
    background = torch.randint(bank.backgrounds, (batch,), generator=generator, device=device).expand(frames, batch)
    index = torch.where(real, _clip_frames(bank, frames, batch, generator), background).flatten()
    textures = bank.scenes[index].float() / 255
    sizes = bank.scene_sizes[index]
    is_real = real.expand(frames, batch).flatten()

    rotation_amount = uniform(generator, 0, 0.15, batch)
    rotation = rotation_amount * torch.randn(frames, batch, generator=generator, device=device)
    rotation = torch.where(real, 0.3 * rotation, rotation).flatten()
    mirrored = (uniform(generator, 0, 1, batch) < 0.5).expand(frames, batch).flatten()
    zoom = (uniform(generator, -0.4, 0.7, batch) + 0.1 * uniform(generator, -1, 1, frames, batch)).exp().flatten()
    shift_amount = uniform(generator, 0, 0.5, batch, 1)
    shift = uniform(generator, -0.5, 0.5, batch, 2) + shift_amount * uniform(generator, -1, 1, frames, batch, 2)
    scale = zoom * config.side / sizes.amin(dim=1)
    place = config.side / 2 + shift.flatten(0, 1) * config.side
    background_pose = make_pose(place, sizes * scale[:, None], rotation, torch.zeros_like(rotation), mirrored)
    if not bool(real.any()):
        return _Scenes(textures, background_pose, torch.zeros(len(index), 4, device=device))

    frame_boxes = torch.zeros(len(bank.scenes), 4, device=device)
    frame_boxes[bank.backgrounds :] = bank.clip_boxes
    texels = frame_boxes[index]  # (I*S, 4)
    side = textures.shape[-1]
    offset, target_size = _jitter(config, frames, batch, is_test, generator)
    native = (texels[:, 2:] / side * sizes).clamp_min(1.0)
    scale = target_size / native.prod(dim=1).sqrt()
    pose = make_pose(torch.zeros_like(offset), sizes * scale[:, None], rotation, torch.zeros_like(rotation), mirrored)
    middle = (texels[:, :2] + texels[:, 2:] / 2) / side * 2 - 1
    center = config.side / 2 + offset - (pose.matrix @ middle[..., None])[..., 0]
    pose = Pose(
        torch.where(is_real[:, None], center, background_pose.center),
        torch.where(is_real[:, None, None], pose.matrix, background_pose.matrix),
    )
    return _Scenes(textures, pose, covered_box(textures[:, 3], pose))


def _clip_frames(bank: ImageBank, frames: int, batch: int, generator: torch.Generator) -> torch.Tensor:
    """Scene numbers (I, S) of frames of one clip each, any order."""
    if not len(bank.clip_boxes):
        return torch.zeros(frames, batch, dtype=torch.int64, device=bank.device)
    first = torch.randint(len(bank.clip_boxes), (batch,), generator=generator, device=bank.device)
    same_clip = bank.clip_of_frame[:, None] == bank.clip_of_frame[first]  # (F, S)
    lottery = uniform(generator, 0, 1, frames, *same_clip.shape) * same_clip
    return lottery.argmax(dim=1) + bank.backgrounds


def _add_distractor(
    pictures: torch.Tensor,
    bank: ImageBank,
    config: CompositionConfig,
    frames: int,
    target: Cutouts,
    center: torch.Tensor,
    extent: torch.Tensor,
    absent: torch.Tensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Paint another object near the target in some sequences: of its kind, the same one in other colours, or any."""
    batch, device = len(target.index), bank.device
    same_kind = bank.object_categories[:, None] == bank.object_categories[target.index]  # (N, S)
    lottery = uniform(generator, 0, 1, *same_kind.shape) * same_kind
    anything = torch.randint(len(bank.objects), (batch,), generator=generator, device=device)
    kind = uniform(generator, 0, 1, batch)
    index = torch.where(kind < 0.6, lottery.argmax(dim=0), anything)
    index = torch.where(kind < config.same_object_share, target.index, index)
    other = Cutouts.draw(bank, config, frames, batch, generator, index)

    direction = uniform(generator, 0, 6.2832, batch) + 0.5 * uniform(generator, -1, 1, frames, batch)
    distance = uniform(generator, 0.8, 2.5, frames, batch)
    # In the place of an absent target there may be something else.
    distance = torch.where(absent & (uniform(generator, 0, 1, frames, batch) < 0.5), 0.2 * distance, distance).flatten()
    direction = direction.flatten()
    size = extent.prod(dim=1).sqrt()
    offset = (distance * size)[:, None] * torch.stack([direction.cos(), direction.sin()], dim=1)
    root = other.aspect.sqrt()
    other_size = size * uniform(generator, 0.6, 1.5, batch).repeat(frames)
    pose = other.pose(center + offset, other_size[:, None] * torch.stack([root, 1 / root], dim=1))
    used = (uniform(generator, 0, 1, batch) < config.distractor_share).expand(frames, batch) | (
        absent & (uniform(generator, 0, 1, frames, batch) < 0.5)
    )
    # The same object where the target is absent would be the target.
    used = used & ~(absent & (index == target.index))
    rows = torch.nonzero(used.flatten())[:, 0]
    if not len(rows):
        return pictures
    layer = render(other.textures[rows], pose.select(rows), (config.side, config.side), "zeros")
    return pictures.index_copy(0, rows, paint(pictures[rows], layer))


def _add_occluder(
    pictures: torch.Tensor,
    coverage: torch.Tensor,
    bank: ImageBank,
    config: CompositionConfig,
    frames: int,
    boxes: torch.Tensor,
    is_test: torch.Tensor,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide a part of the target, or all of it, in some test frames; returns what of its coverage (N, H, W) is left."""
    batch = len(boxes) // frames
    used = (uniform(generator, 0, 1, frames, batch) < config.occluded_share) & is_test[:, None]
    rows = torch.nonzero(used.flatten())[:, 0]
    occluder = Cutouts.draw(bank, config, frames, batch, generator)
    if not len(rows):
        return pictures, coverage
    size = boxes[:, 2:].clamp_min(4.0)
    offset = uniform(generator, -0.8, 0.8, len(boxes), 2) * size
    extent = size * uniform(generator, 0.6, 1.8, len(boxes), 2)
    pose = occluder.pose(boxes[:, :2] + size / 2 + offset, extent).select(rows)
    layer = render(occluder.textures[rows], pose, (config.side, config.side), "zeros")
    left = coverage[rows] * (1 - layer[:, 3])
    return pictures.index_copy(0, rows, paint(pictures[rows], layer)), coverage.index_copy(0, rows, left)


def _degrade(
    pictures: torch.Tensor, config: CompositionConfig, frames: int, batch: int, generator: torch.Generator
) -> torch.Tensor:
    strength = uniform(generator, 0, config.light_change, batch).repeat(frames)
    pictures = change_light(pictures, strength, generator).clamp(0, 1)
    grey = (uniform(generator, 0, 1, batch) < config.grey_share).repeat(frames)
    pictures = remove_color(pictures, grey)
    pictures = lower_resolution(pictures, config.degraded_share, generator)
    pictures = blur(pictures, config.degraded_share, generator)
    pictures = add_noise(pictures, config.degraded_share, generator)
    return compress(pictures, config.degraded_share, generator)
