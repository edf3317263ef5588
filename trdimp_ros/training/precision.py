"""Which precision trains faster here."""

from __future__ import annotations

import time

import torch
from torch import nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def fastest_precision(device: torch.device) -> torch.dtype:
    """Time some convolutions in float32 and in bfloat16, and return the faster of the two.

    Processors without bfloat16 arithmetic imitate it ten times as slowly as they compute in float32.

    Args:
        device: The device that is to train.
    """
    durations = {dtype: _seconds(device, dtype) for dtype in PRECISIONS.values()}
    return min(durations, key=lambda dtype: durations[dtype])


@torch.no_grad()
def _seconds(device: torch.device, dtype: torch.dtype, repetitions: int = 3) -> float:
    """The shortest time that a small part of a network takes."""
    layers = nn.Sequential(nn.Conv2d(32, 128, 1), nn.Conv2d(128, 128, 3, padding=1, groups=128), nn.Conv2d(128, 32, 1))
    layers = layers.to(device, dtype)
    images = torch.ones(4, 32, 32, 32, device=device, dtype=dtype)
    durations = []
    for _ in range(repetitions):
        start = time.perf_counter()
        layers(images).sum().item()  # waits for the device
        durations.append(time.perf_counter() - start)
    return min(durations)
