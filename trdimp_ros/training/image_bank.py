"""The images that training samples are made of: cut-out objects, backgrounds, and real frames with a box.

They are read once and held as tensors of one size each, so that a batch is a gather and a few `grid_sample` calls on
the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from trdimp_ros.training.image_files import SCENE_SIDE, TrainingImage, count_by_source, read_images

Split = Literal["train", "val"]


@dataclass
class ImageBank:
    """All images of one split.

    Attributes:
        objects: (N, 4, 96, 96) uint8 RGB and coverage.
        object_sizes: (N, 2) float32 width and height of the cut-out in its source.
        object_categories: (N,) int64; objects of one category are distractors for each other.
        backgrounds: (M, 3, 256, 256) uint8.
        background_sizes: (M, 2) float32 width and height in their source.
        frames: (F, 3, 256, 256) uint8 square surroundings of real targets; those of one clip follow each other.
        frame_boxes: (F, 4) float32 x, y, w, h of the target in texels.
        clip_starts: (C,) int64 first frame of each clip.
        clip_lengths: (C,) int64 its number of frames.
        clip_scenes: (C,) int64; clips of one scene may show each other's targets.
        clip_weights: (C,) float32 how often each is drawn.
    """

    objects: torch.Tensor
    object_sizes: torch.Tensor
    object_categories: torch.Tensor
    backgrounds: torch.Tensor
    background_sizes: torch.Tensor
    frames: torch.Tensor
    frame_boxes: torch.Tensor
    clip_starts: torch.Tensor
    clip_lengths: torch.Tensor
    clip_scenes: torch.Tensor
    clip_weights: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.objects.device

    def counts(self) -> dict[str, int]:
        """How much there is of everything."""
        return {
            "objects": len(self.objects),
            "backgrounds": len(self.backgrounds),
            "frames": len(self.frames),
            "clips": len(self.clip_starts),
        }

    def to(self, device: torch.device) -> ImageBank:
        """The same on another device."""
        return ImageBank(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def load_image_bank(paths: Sequence[Path], split: Split) -> ImageBank:
    """Read folders and packed files into one bank.

    Raises:
        ValueError: naming the path, if one is neither, or if together they lack objects or backgrounds.
    """
    images = [image for path in paths for image in read_images(path, split)]
    objects, backgrounds, frames = (
        [image for image in images if image.kind == kind] for kind in ("object", "background", "frame")
    )
    if not objects or not backgrounds:
        raise ValueError(f"{', '.join(map(str, paths))}: no objects or no backgrounds of split {split!r}")
    frames.sort(key=lambda image: image.group)  # stable: frames of a clip keep their order
    first = [index for index, image in enumerate(frames) if index == 0 or image.group != frames[index - 1].group]
    clips = [frames[index] for index in first]
    lengths = np.diff([*first, len(frames)])
    return ImageBank(
        objects=_stack(objects, 4),
        object_sizes=_sizes(objects),
        object_categories=_numbers([image.group for image in objects]),
        backgrounds=_stack(backgrounds, 3),
        background_sizes=_sizes(backgrounds),
        frames=_stack(frames, 3),
        frame_boxes=torch.tensor([image.box for image in frames], dtype=torch.float32).view(-1, 4),
        clip_starts=torch.tensor(first, dtype=torch.int64),
        clip_lengths=torch.tensor(lengths if clips else [], dtype=torch.int64),
        clip_scenes=_numbers([image.scene for image in clips]),
        clip_weights=_weights(frames, clips),
    )


def _weights(frames: list[TrainingImage], clips: list[TrainingImage]) -> torch.Tensor:
    """A source as a whole counts as the root of its number of frames: so the largest does not drown the others."""
    frame_counts, clip_counts = count_by_source(frames), count_by_source(clips)
    weights = [frame_counts[clip.source] ** 0.5 / clip_counts[clip.source] for clip in clips]
    return torch.tensor(weights, dtype=torch.float32)


def _stack(images: list[TrainingImage], channels: int) -> torch.Tensor:
    if not images:
        return torch.zeros(0, channels, SCENE_SIDE, SCENE_SIDE, dtype=torch.uint8)
    side = images[0].pixels.shape[0]
    stacked = np.empty((len(images), channels, side, side), np.uint8)
    for row, image in zip(stacked, images, strict=True):
        row[:] = image.pixels[..., :channels].transpose(2, 0, 1)
    return torch.from_numpy(stacked)


def _sizes(images: list[TrainingImage]) -> torch.Tensor:
    return torch.tensor([image.size for image in images], dtype=torch.float32)


def _numbers(names: list[str]) -> torch.Tensor:
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    return torch.tensor([numbers[name] for name in names], dtype=torch.int64)
