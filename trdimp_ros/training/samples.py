"""Random training samples: search areas of synthetic clips, with exact boxes, composed on the device.

A sample is a handful of frames of one target: template frames, from which the network learns it, and test frames, in
which it must find it. Frames are rendered as search areas at once; no whole image is ever made.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from trdimp_ros.training.compositing import covered_box, make_pose, paint, render
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.cutouts import Choice, Cutouts
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
from trdimp_ros.training.occluders import add_occluder
from trdimp_ros.training.real_frames import draw_real_views

VISIBLE = 0.2
"""A target of which less is to be seen counts as absent."""


LOOK_ALIKE_MIXTURE = 0.4, 0.9
"""Least and most of a look-alike's texture that is not the target's: less could be the target in another light."""


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
    """Compose a batch; its first targets are real ones, the others are pasted.

    Args:
        bank: The images, on the generator's device.
        config: What the samples look like.
        templates: The number of frames of each target in which it is certainly present.
        tests: The number of further frames, in which it may be hidden or absent.
        batch: The number of targets.
        generator: The source of all random numbers; the same state gives the same batch.
    """
    frames = templates + tests
    real = round(batch * config.real_share) if len(bank.frames) else 0
    is_test = torch.arange(frames, device=bank.device) >= templates
    parts = []
    if real:
        parts.append(_real_targets(bank, config, frames, real, is_test, generator))
    if real < batch:
        parts.append(_pasted_targets(bank, config, frames, batch - real, is_test, generator))
    pictures, boxes, present = (
        torch.cat([part[index].unflatten(0, (frames, -1)) for part in parts], dim=1) for index in range(3)
    )
    pictures = _degrade(pictures.flatten(0, 1), config, frames, batch, generator)
    images = (pictures.clamp(0, 1) * 255).unflatten(0, (frames, batch))
    return Samples(images, boxes, present | ~is_test[:, None])


Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Pictures (I*S, 3, side, side) 0..1, boxes (I*S, 4) and present (I*S,)."""


def _real_targets(
    bank: ImageBank,
    config: CompositionConfig,
    frames: int,
    batch: int,
    is_test: torch.Tensor,
    generator: torch.Generator,
) -> Part:
    """Frames of real targets; in some tests something is pasted before them, or they are not there."""
    absent = (uniform(generator, 0, 1, frames, batch) < config.absent_share) & is_test[:, None]
    offset, size = _jitter(config, frames, batch, is_test, generator)
    views = draw_real_views(bank, config, config.side / 2 + offset, size, absent, generator)
    coverage = _filled(views.boxes, config.side)
    pictures, left = add_occluder(views.pictures, coverage, views.boxes, is_test, config, bank, generator)
    visible = left.sum(dim=(1, 2)) / coverage.sum(dim=(1, 2)).clamp_min(1.0)
    return pictures, views.boxes, (visible > VISIBLE) & ~views.absent.flatten()


def _filled(boxes: torch.Tensor, side: int) -> torch.Tensor:
    """1 within boxes (N, 4), 0 outside; (N, side, side)."""
    place = torch.arange(side, device=boxes.device) + 0.5
    low, high = boxes[:, :2, None], boxes[:, :2, None] + boxes[:, 2:, None]
    inside = ((place >= low) & (place <= high)).float()  # (N, 2, side)
    return inside[:, 1, :, None] * inside[:, 0, None, :]


def _pasted_targets(
    bank: ImageBank,
    config: CompositionConfig,
    frames: int,
    batch: int,
    is_test: torch.Tensor,
    generator: torch.Generator,
) -> Part:
    """Cut-out targets among others on a background under a moving camera."""
    absent = (uniform(generator, 0, 1, frames, batch) < config.absent_share) & is_test[:, None]
    pictures = _backgrounds(bank, config, frames, batch, generator)
    target = Cutouts.draw(bank, config, frames, batch, generator)
    offset, extent_root = _jitter(config, frames, batch, is_test, generator)
    root = target.aspect.sqrt()
    center, extent = config.side / 2 + offset, extent_root[:, None] * torch.stack([root, 1 / root], dim=1)
    pose = target.pose(center, extent)
    for _ in range(config.distractors):
        pictures = _add_distractor(pictures, bank, config, frames, target, center, extent, absent, generator)

    shown = torch.nonzero(~absent.flatten())[:, 0]
    size = (config.side, config.side)
    layer = torch.zeros(frames * batch, 4, *size, device=bank.device)
    layer = layer.index_copy(0, shown, render(target.textures[shown], pose.select(shown), size, "zeros"))
    pictures = paint(pictures, layer)
    boxes = covered_box(target.textures[:, 3], pose)
    pictures, seen = add_occluder(pictures, layer[:, 3], boxes, is_test, config, bank, generator)
    area = 4 * torch.linalg.det(pose.matrix).abs() * target.textures[:, 3].mean(dim=(1, 2))
    visible = seen.sum(dim=(1, 2)) / area.clamp_min(1.0)
    return pictures, boxes, (visible > VISIBLE) & ~absent.flatten()


def _jitter(
    config: CompositionConfig, frames: int, batch: int, is_test: torch.Tensor, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Offset (I*S, 2) of the target from the crop's centre and its size sqrt(w*h) (I*S,), both in pixels."""
    calm = uniform(generator, 0.3, 1.0, frames, batch)  # a frame may serve as template and as test
    amount = torch.where(is_test[:, None], 1.0, calm).flatten()
    size = config.side / config.search_area_scale
    scale = torch.exp(
        amount * config.scale_jitter * torch.randn(frames * batch, generator=generator, device=generator.device)
    )
    reach = config.center_jitter * config.side
    offset = amount[:, None] * uniform(generator, -reach, reach, frames * batch, 2)
    return offset, size * scale.clamp(0.4, 2.5)


def _backgrounds(
    bank: ImageBank, config: CompositionConfig, frames: int, batch: int, generator: torch.Generator
) -> torch.Tensor:
    """Backgrounds (I*S, 3, side, side) under a moving camera."""
    device = bank.device
    index = torch.randint(len(bank.backgrounds), (batch,), generator=generator, device=device).repeat(frames)
    sizes = bank.background_sizes[index]
    rotation_amount = uniform(generator, 0, 0.15, batch)
    rotation = (rotation_amount * torch.randn(frames, batch, generator=generator, device=device)).flatten()
    mirrored = (uniform(generator, 0, 1, batch) < 0.5).expand(frames, batch).flatten()
    zoom = (uniform(generator, -0.4, 0.7, batch) + 0.1 * uniform(generator, -1, 1, frames, batch)).exp().flatten()
    shift_amount = uniform(generator, 0, 0.5, batch, 1)
    shift = uniform(generator, -0.5, 0.5, batch, 2) + shift_amount * uniform(generator, -1, 1, frames, batch, 2)
    scale = zoom * config.side / sizes.amin(dim=1)
    place = config.side / 2 + shift.flatten(0, 1) * config.side
    pose = make_pose(place, sizes * scale[:, None], rotation, torch.zeros_like(rotation), mirrored)
    padding = "reflection" if float(uniform(generator, 0, 1, 1)) < 0.5 else "border"
    return render(bank.backgrounds[index].float() / 255, pose, (config.side, config.side), padding)


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
    """Paint another object near the target in some sequences: of its kind, one that looks much like it, or any."""
    batch, device = len(target.index), bank.device
    same_kind = bank.object_categories[:, None] == bank.object_categories[target.index]  # (N, S)
    lottery = uniform(generator, 0, 1, *same_kind.shape) * same_kind
    anything = torch.randint(len(bank.objects), (batch,), generator=generator, device=device)
    kind = uniform(generator, 0, 1, batch)
    index = torch.where(kind < 0.6, lottery.argmax(dim=0), anything)
    alike = kind < config.look_alike_share
    index = torch.where(alike, target.index, index)
    mixture = alike * uniform(generator, *LOOK_ALIKE_MIXTURE, batch)
    other = Cutouts.draw(bank, config, frames, batch, generator, Choice(index, mixture))

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
    # The same object, by chance, where the target is absent would be the target.
    used = used & ~(absent & (index == target.index) & ~alike)
    rows = torch.nonzero(used.flatten())[:, 0]
    if not len(rows):
        return pictures
    layer = render(other.textures[rows], pose.select(rows), (config.side, config.side), "zeros")
    return pictures.index_copy(0, rows, paint(pictures[rows], layer))


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
