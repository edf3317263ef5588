"""From the host to the device: named numbers in one copy."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

OnHost = TypeVar("OnHost")
OnDevice = TypeVar("OnDevice")
Inputs = TypeVar("Inputs")


def shaped(*shape: int | str) -> Any:
    """A dataclass field that holds numbers of this shape; a length given by name is decided by the `Upload`."""
    return dataclasses.field(metadata={"shape": shape})


def rows(inputs: Inputs, first: int, stop: int) -> Inputs:
    """The same inputs of the targets from ``first`` to before ``stop`` only; views."""
    names = (spec.name for spec in dataclasses.fields(inputs))  # type: ignore[arg-type]  # no type says "dataclass"
    return type(inputs)(**{name: getattr(inputs, name)[first:stop] for name in names})


class Upload(Generic[OnHost, OnDevice]):
    """Float32 numbers that go to the device in one copy, always to the same addresses.

    Args:
        kind: The dataclass that names them, with fields declared by `shaped`.
        device: The device that they go to.
        targets: The number of targets T, which becomes the first dimension of every field; None: there is none.
        lengths: The lengths that the declared shapes name.

    Attributes:
        tensors: The numbers on the device.
    """

    def __init__(self, kind: Any, device: torch.device, targets: int | None = None, **lengths: int) -> None:
        shapes = {}
        for spec in dataclasses.fields(kind):
            shape = [length if isinstance(length, int) else lengths[length] for length in spec.metadata["shape"]]
            shapes[spec.name] = shape if targets is None else [targets, *shape]
        counts = [math.prod(shape) for shape in shapes.values()]
        self._host = torch.zeros(sum(counts), pin_memory=device.type == "cuda")
        # Without a device of its own nothing has to be copied.
        self._device = self._host if device.type == "cpu" else torch.zeros(sum(counts), device=device)
        pieces = zip(shapes.items(), self._host.split(counts), self._device.split(counts), strict=True)
        tensors = {}
        self._arrays: dict[str, NDArray[np.float32]] = {}
        for (name, shape), on_host, on_device in pieces:
            self._arrays[name] = on_host.view(shape).numpy()
            tensors[name] = on_device.view(shape)
        self.tensors: OnDevice = kind(**tensors)

    def fill(self, values: OnHost, target: int | None = None) -> None:
        """Set all numbers on the host.

        Args:
            values: The numbers by name; where there are targets, those of one target.
            target: The index of that target.
        """
        for name, array in self._arrays.items():
            destination = array if target is None else array[target]
            destination[...] = np.asarray(getattr(values, name), np.float32).reshape(destination.shape)

    def send(self) -> None:
        """Copy all numbers to the device."""
        if self._device is not self._host:
            self._device.copy_(self._host, non_blocking=True)
