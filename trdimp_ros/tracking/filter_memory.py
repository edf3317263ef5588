"""The frames that the target filter is trained on, and how much each of them counts."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models.target_filter import SampleMaps

NEGLIGIBLE = np.float32(0.01)
"""A weight below this share of the learning rate comes from a rate that was changed, for instance from 0."""


class SampleWeights:
    """Weights of the stored samples and the choice of the slot for a new one; on the host.

    Args:
        capacity: The number of slots.
        initial: The number of samples of the first frame; they lie in the first slots and weigh the same.

    Attributes:
        values: (capacity,) float32, zero in free slots.
        stored: Number of samples ever stored; grows beyond the capacity.
        newest: Slot of the last sample added with a weight, None before the first.
    """

    def __init__(self, capacity: int, initial: int) -> None:
        self.values: NDArray[np.float32] = np.zeros(capacity, np.float32)
        self.values[:initial] = 1.0 / initial
        self.stored = initial
        self._initial = initial
        self.newest: int | None = None

    def add(self, learning_rate: float, initial_minimum: float) -> int:
        """Make room for a sample.

        Args:
            learning_rate: The weight of the new sample; those after it outweigh it by 1 / (1 - rate) each.
                0: it does not count.
            initial_minimum: The least total weight of the first frame's samples, which are then never replaced; 0:
                there is none.

        Returns:
            The slot to write it to.
        """
        values, rate = self.values, np.float32(learning_rate)
        if rate == 1:
            slot = 0
            values[:] = 0
            values[0] = 1
        else:
            slot = self._slot(replace_from=self._initial if initial_minimum > 0 else 0)
            if rate == 0:
                values[slot] = 0
            # After a sample that hardly counts, as after none, there is nothing to measure the new one by.
            elif self.newest is None or values[self.newest] < NEGLIGIBLE * rate:
                values /= 1 - rate
                values[slot] = rate
            else:
                values[slot] = values[self.newest] / (1 - rate)
        values /= values.sum()
        if initial_minimum > 0 and values[: self._initial].sum() < initial_minimum:
            values /= np.float32(initial_minimum) + values[self._initial :].sum()
            values[: self._initial] = initial_minimum / self._initial
        if rate > 0:
            self.newest = slot
        self.stored += 1
        return slot

    def _slot(self, replace_from: int) -> int:
        if self.stored < len(self.values):
            return self.stored
        return replace_from + int(self.values[replace_from:].argmin())


class FilterMemory:
    """Decoded feature maps with their label maps, in buffers of fixed size; a free slot has weight zero.

    Args:
        capacity: The number of samples that there is room for.
        feature_shape: Rows, columns and channels of a feature map.
        score_size: Rows and columns of a score map.
        device: The device of the buffers.
    """

    def __init__(
        self, capacity: int, feature_shape: tuple[int, int, int], score_size: tuple[int, int], device: torch.device
    ) -> None:
        self.capacity = capacity
        # One sequence: the second dimension of the optimiser's tensors.
        self.features = torch.zeros(capacity, 1, *feature_shape, device=device)
        self.maps = SampleMaps(*(torch.zeros(capacity, 1, *score_size, device=device) for _ in range(3)))
        self.sample_weights = torch.zeros(capacity, 1, device=device)
        self.weights = SampleWeights(capacity, 1)

    def reset(self, features: torch.Tensor, maps: SampleMaps) -> None:
        """Start with the samples of the first frame.

        Args:
            features: Decoded features (N, H, W, C).
            maps: Their maps, each (N, H', W').
        """
        count = len(features)
        for buffer, values in zip((self.features, *self.maps), (features, *maps), strict=True):
            buffer.zero_()
            buffer[:count, 0] = values
        self.weights = SampleWeights(self.capacity, count)
        self._upload_weights()

    def copy_from(self, other: FilterMemory) -> None:
        """Become a copy of another memory of the same sizes."""
        mine, theirs = ((memory.features, *memory.maps, memory.sample_weights) for memory in (self, other))
        for buffer, values in zip(mine, theirs, strict=True):
            buffer.copy_(values)
        self.weights = copy.deepcopy(other.weights)

    def store(self, slot: torch.Tensor, feature: torch.Tensor, maps: SampleMaps, weights: torch.Tensor) -> None:
        """Write a sample; the device's part. The host's is `SampleWeights.add` of `weights`.

        Args:
            slot: The slot (1,) int64 to write to.
            feature: The decoded feature (1, H, W, C).
            maps: Maps of the sample, each (1, H', W').
            weights: The weights (capacity, 1) of all samples.
        """
        for buffer, value in zip((self.features, *self.maps), (feature, *maps), strict=True):
            buffer.index_copy_(0, slot, value[None])
        self.sample_weights.copy_(weights)

    def _upload_weights(self) -> None:
        self.sample_weights.copy_(torch.from_numpy(self.weights.values)[:, None])
