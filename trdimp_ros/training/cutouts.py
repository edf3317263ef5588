"""Cut-out objects that bend, turn and change their shape from frame to frame."""

from __future__ import annotations

from typing import NamedTuple

import torch

from trdimp_ros.training.compositing import Pose, make_pose, warp_elastically
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.degradation import change_light, uniform
from trdimp_ros.training.image_bank import ImageBank


def _any(bank: ImageBank, count: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers (count,) of random objects."""
    return torch.randint(len(bank.objects), (count,), generator=generator, device=bank.device)


def smooth_noise(generator: torch.Generator, smoothing: int, *shape: int) -> torch.Tensor:
    """Normal random numbers whose neighbours along the first dimension resemble each other.

    Args:
        generator: Source of the numbers.
        smoothing: About so many neighbouring entries resemble each other; 1: they are independent.
        shape: Shape of the result.
    """
    if smoothing <= 1:
        return torch.randn(*shape, generator=generator, device=generator.device)
    reach = 2 * smoothing
    noise = torch.randn(shape[0] + 2 * reach, *shape[1:], generator=generator, device=generator.device)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=noise.device) / smoothing) ** 2)
    windows = noise.unfold(0, 2 * reach + 1, 1)  # (shape[0], ..., taps)
    return (windows * taps).sum(dim=-1) / taps.square().sum().sqrt()


class Choice(NamedTuple):
    """Which objects are wanted.

    Attributes:
        numbers: (S,) which they are in the bank.
        mixture: (S,) shares 0..1 of their texture that are another object's; the outline stays.
    """

    numbers: torch.Tensor
    mixture: torch.Tensor


class Cutouts:
    """Objects as textures for I*S frames, bent and turned differently in each frame.

    Attributes:
        textures: (I*S, 4, h, w) 0..1.
        aspect: (I*S,) width / height.
        index: (S,) which objects of the bank they are.
    """

    def __init__(self, textures: torch.Tensor, aspect: torch.Tensor, index: torch.Tensor, turns: torch.Tensor) -> None:
        self.textures, self.aspect, self.index, self._turns = textures, aspect, index, turns

    @classmethod
    def draw(
        cls,
        bank: ImageBank,
        config: CompositionConfig,
        frames: int,
        batch: int,
        generator: torch.Generator,
        choice: Choice | None = None,
        smoothing: int = 1,
    ) -> Cutouts:
        """Choose objects and how they change from frame to frame.

        Args:
            bank: The objects to choose from.
            config: How much they change.
            frames: The number I of frames of each sample.
            batch: The number S of samples.
            generator: Source of the random numbers.
            choice: Which objects; None: any, unmixed.
            smoothing: Frames over which changes are smooth, for clips; 1: every frame by itself.
        """
        index = _any(bank, batch, generator) if choice is None else choice.numbers
        textures = bank.objects[index].float() / 255
        rgb = textures[:, :3]
        if choice is not None:
            other = bank.objects[_any(bank, batch, generator), :3].float() / 255
            rgb = torch.lerp(rgb, other, choice.mixture[:, None, None, None])
        strength = uniform(generator, 0, 0.6, batch)
        rgb = change_light(rgb, strength, generator).clamp(0, 1)
        textures = torch.cat([rgb, textures[:, 3:]], dim=1).repeat(frames, 1, 1, 1)

        def normal(*shape: int) -> torch.Tensor:
            return smooth_noise(generator, smoothing, *shape)

        bend = uniform(generator, 0, config.elasticity, 1, batch, 1, 1, 1) * normal(frames, batch, 2, 4, 4)
        textures = warp_elastically(textures, bend.flatten(0, 1))
        sizes = bank.object_sizes[index]
        spread = uniform(generator, 0, config.aspect_change, batch)
        log_aspect = (sizes[:, 0] / sizes[:, 1]).log() + spread * normal(frames, batch)
        amount = uniform(generator, 0, config.rotation, batch)
        rotation = amount * normal(frames, batch) + amount * uniform(generator, -1, 1, batch)
        shear = 0.5 * config.aspect_change * normal(frames, batch)
        mirrored = (uniform(generator, 0, 1, batch) < 0.5).expand(frames, batch)
        turns = torch.stack([rotation, shear, mirrored.float()], dim=-1).flatten(0, 1)
        return cls(textures, log_aspect.flatten().clamp(-1.8, 1.8).exp(), index, turns)

    def pose(self, center: torch.Tensor, extent: torch.Tensor) -> Pose:
        """Where they lie, given centres (I*S, 2) and widths and heights (I*S, 2) in pixels."""
        rotation, shear, mirrored = self._turns.unbind(1)
        return make_pose(center, extent, rotation, shear, mirrored > 0.5)
