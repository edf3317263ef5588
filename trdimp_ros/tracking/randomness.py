"""All random numbers of a tracker, from one seeded generator, so that a run can be repeated."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


class RandomSource:
    """Draws on the host, so that every device sees the same numbers.

    Args:
        seed: The seed of the generator.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def shift(self) -> NDArray[np.float32]:
        """Two numbers from 0 to 1 for the random shift (row, column) of a view."""
        return torch.rand(2, generator=self._generator).numpy()

    def kept_channels(self, samples: int, channels: int, dropout: float) -> torch.Tensor:
        """(samples, channels) 1 for a channel that is kept, 0 for one that is dropped."""
        return (torch.rand(samples, channels, generator=self._generator) >= dropout).float()

    def jitter(self, boxes: int) -> torch.Tensor:
        """(boxes, 4) numbers from 0 to 1 for the random candidates of one frame."""
        return torch.rand(boxes, 4, generator=self._generator)
