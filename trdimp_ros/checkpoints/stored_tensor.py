"""Tensors in a file: what they are is known before any of their numbers are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from trdimp_ros.checkpoints.errors import CheckpointError

MAX_DIMENSIONS = 8
MAX_COUNT = 2**40
"""No size, stride or offset in a file is larger."""


@dataclass
class Storage:
    """The numbers behind one or more tensors, read from the file on first use and kept.

    Attributes:
        dtype: The type of the numbers.
        count: How many there are; the file is known to hold them.
        read_bytes: Reads them from the file.
    """

    dtype: torch.dtype
    count: int
    read_bytes: Callable[[], bytearray]
    _numbers: torch.Tensor | None = None

    def read(self) -> torch.Tensor:
        """All numbers, one-dimensional."""
        if self._numbers is None:
            data = self.read_bytes()
            self._numbers = torch.frombuffer(data, dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)
        return self._numbers


@dataclass(frozen=True)
class StoredTensor:
    """A view of a storage whose numbers have not been read yet; no larger than its storage.

    Attributes:
        storage: The numbers.
        offset: Index of the first one.
        size: The tensor's shape.
        stride: Steps between neighbours along each axis, in numbers.

    Raises:
        CheckpointError: for a view that reaches beyond its storage, or that repeats its numbers: a few bytes could
            stand for gigabytes.
    """

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.size) != len(self.stride) or len(self.size) > MAX_DIMENSIONS:
            raise CheckpointError("damaged: a tensor has more axes than strides, or too many")
        if not all(is_count(number) for number in (self.offset, *self.size, *self.stride)):
            raise CheckpointError("damaged: a tensor's size, stride or offset is negative, huge or no whole number")
        last = self.offset + sum((length - 1) * step for length, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and (last >= self.storage.count or math.prod(self.size) > self.storage.count):
            raise CheckpointError("damaged: a tensor reaches beyond its storage")

    @property
    def dtype(self) -> torch.dtype:
        return self.storage.dtype

    def read(self) -> torch.Tensor:
        """The tensor, a view of its storage's numbers."""
        return self.storage.read().as_strided(self.size, self.stride, self.offset)


def is_count(number: object) -> bool:
    """Whether something from a file is a whole number that can be a size."""
    return type(number) is int and 0 <= number <= MAX_COUNT
