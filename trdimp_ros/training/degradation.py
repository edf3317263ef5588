"""What cameras do to pictures: light, colour, blur, low resolution, noise, compression. All on the device, in batches.

Pictures are (N, 3, H, W) float in 0..1. Each function draws what it needs from the generator it is given.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

BLUR_TAPS = 9
JPEG_BLOCK = 8

# The luminance table of JPEG's annex K, used for all three channels.
_JPEG_TABLE = (
    "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62 "
    "18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"
)


def uniform(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Uniform random numbers on the generator's device."""
    return torch.rand(*shape, generator=generator, device=generator.device) * (high - low) + low


def chosen(generator: torch.Generator, share: float, count: int) -> torch.Tensor:
    """Indices of a random share of ``count`` pictures."""
    return torch.nonzero(uniform(generator, 0, 1, count) < share)[:, 0]


def change_light(pictures: torch.Tensor, strength: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Exposure, contrast, white balance and a ramp of light across the picture.

    Args:
        pictures: (N, 3, H, W).
        strength: (N,) 0: none, 1: strong.
        generator: Source of the random numbers.
    """
    count, _, height, width = pictures.shape
    amount = strength.view(-1, 1, 1, 1)
    gain = torch.exp(amount * uniform(generator, -0.5, 0.5, count, 1, 1, 1))
    balance = torch.exp(amount * uniform(generator, -0.15, 0.15, count, 3, 1, 1))
    contrast = torch.exp(amount * uniform(generator, -0.4, 0.4, count, 1, 1, 1))
    slope = amount * uniform(generator, -0.5, 0.5, count, 2, 1, 1)
    rows = torch.linspace(-1, 1, height, device=pictures.device).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=pictures.device).view(1, 1, 1, -1)
    ramp = torch.exp(slope[:, :1] * rows + slope[:, 1:] * columns)
    mean = pictures.mean(dim=(2, 3), keepdim=True)
    return ((pictures - mean) * contrast + mean) * gain * balance * ramp


def blur(pictures: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Blur a share of the pictures by motion in a random direction, or out of focus."""
    index = chosen(generator, share, len(pictures))
    if not len(index):
        return pictures
    count = len(index)
    angle = uniform(generator, 0, math.pi, count, 1, 1)
    length = uniform(generator, 0.5, BLUR_TAPS / 2.5, count, 1, 1)
    width = torch.where(uniform(generator, 0, 1, count, 1, 1) < 0.5, 0.5, 0.5 * length)
    taps = torch.arange(BLUR_TAPS, device=pictures.device) - BLUR_TAPS // 2
    y, x = taps.view(1, -1, 1), taps.view(1, 1, -1)
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    kernels = torch.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))
    kernels = kernels / kernels.sum(dim=(1, 2), keepdim=True)  # (n, taps, taps)
    subset = pictures[index].transpose(0, 1)  # (3, n, H, W): one kernel for each picture, by groups
    padded = functional.pad(subset, [BLUR_TAPS // 2] * 4, mode="replicate")
    blurred = functional.conv2d(padded, kernels[:, None], groups=count).transpose(0, 1)
    return pictures.index_copy(0, index, blurred)


def lower_resolution(pictures: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Shrink and enlarge a share of the pictures, as a small target in a large search area looks."""
    index = chosen(generator, share, len(pictures))
    if not len(index):
        return pictures
    size = pictures.shape[-2:]
    factor = float(uniform(generator, 1.3, 3.5, 1))
    small = [round(length / factor) for length in size]
    subset = functional.interpolate(pictures[index], size=small, mode="bilinear", antialias=True)
    subset = functional.interpolate(subset, size=size, mode="bilinear")
    return pictures.index_copy(0, index, subset)


def add_noise(pictures: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Gaussian noise of up to 8 of 255 on a share of the pictures."""
    index = chosen(generator, share, len(pictures))
    deviation = uniform(generator, 0.0, 8 / 255, len(index), 1, 1, 1)
    subset = pictures[index]
    noise = torch.randn(subset.shape, generator=generator, device=generator.device)
    return pictures.index_copy(0, index, subset + deviation * noise)


def compress(pictures: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """The losses of JPEG on a share of the pictures: blocks of 8x8, quantised cosine coefficients."""
    index = chosen(generator, share, len(pictures))
    if not len(index):
        return pictures
    block, device = JPEG_BLOCK, pictures.device
    height, width = pictures.shape[-2:]
    if height % block or width % block:
        raise ValueError(f"compression needs sides that are multiples of {block}, got {height}x{width}")
    order = torch.arange(block, device=device, dtype=torch.float32)
    basis = torch.cos((2 * order[None] + 1) * order[:, None] * math.pi / (2 * block)) * math.sqrt(2 / block)
    basis[0] /= math.sqrt(2)
    table = torch.tensor([float(entry) for entry in _JPEG_TABLE.split()], device=device).view(block, block) / 255
    coarseness = torch.exp(uniform(generator, -1.2, 1.0, len(index), 1, 1, 1, 1, 1))
    tiles = pictures[index].unflatten(3, (-1, block)).unflatten(2, (-1, block))  # (n, 3, rows, 8, columns, 8)
    tiles = tiles.transpose(3, 4)  # (n, 3, rows, columns, 8, 8)
    coefficients = basis @ tiles @ basis.T
    step = coarseness * table
    coefficients = (coefficients / step).round() * step
    tiles = (basis.T @ coefficients @ basis).transpose(3, 4)
    return pictures.index_copy(0, index, tiles.flatten(4, 5).flatten(2, 3))


def remove_color(pictures: torch.Tensor, grey: torch.Tensor) -> torch.Tensor:
    """Grey pictures where ``grey`` (N,) is true."""
    weights = pictures.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    luminance = (pictures * weights).sum(dim=1, keepdim=True)
    return torch.where(grey.view(-1, 1, 1, 1), luminance, pictures)
