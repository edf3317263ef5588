"""Constant tensors, made once per device: making them anew in every frame would copy from the host each time."""

from __future__ import annotations

import functools

import torch


@functools.cache
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor of these numbers, shared by all who ask for it: never to be written to."""
    with torch.inference_mode(False):  # it may serve in training too
        return torch.tensor(values, device=device, dtype=dtype)
