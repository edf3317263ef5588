"""Unpickling without importing or running anything that the file names.

A checkpoint's pickle names classes and functions. Of those only the ones in `_KNOWN` mean anything here, and they are
replaced by functions of this module. Any other class becomes an inert placeholder: instances can be made and given
state, which is dropped. Any other call is refused.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, NoReturn, Protocol

import torch

from trdimp_ros.checkpoints.errors import UnsafeCheckpointError


class Storage(Protocol):
    """The numbers behind one or more tensors, read from the file when asked for."""

    count: int

    def read(self) -> torch.Tensor:
        """All numbers, one-dimensional."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet: a view of a storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def read(self) -> torch.Tensor:
        """The tensor, in memory of its own.

        Raises:
            ValueError: if the view reaches beyond its storage.
        """
        numbers = (self.offset, *self.size, *self.stride)
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or len(self.size) != len(self.stride):
            raise ValueError(f"a tensor has offset {self.offset}, size {self.size} and stride {self.stride}")
        last = self.offset + sum((length - 1) * step for length, step in zip(self.size, self.stride, strict=True))
        if 0 not in self.size and last >= self.storage.count:
            raise ValueError(f"a tensor of size {self.size} reaches beyond its storage of {self.storage.count} numbers")
        return self.storage.read().as_strided(self.size, self.stride, self.offset).clone()


@dataclass(frozen=True)
class StorageType:
    """Stands for torch.FloatStorage and its kin."""

    dtype: torch.dtype


STORAGE_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _RefusesCalls(type):
    """Metaclass: a placeholder class cannot be called the way a pickle calls a function."""

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise UnsafeCheckpointError(
            f"the pickle asks to call {cls.__module__}.{cls.__qualname__}; refused, nothing was run. "
            "Use a checkpoint from a source you trust"
        )


class Placeholder(metaclass=_RefusesCalls):
    """An object of a class that is not known here. Everything done to it is forgotten."""

    def __new__(cls, *args: object, **kwargs: object) -> Placeholder:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        pass

    def extend(self, values: object) -> None:
        pass

    def add(self, value: object) -> None:
        pass


def _new_placeholder() -> Placeholder:
    return Placeholder.__new__(Placeholder)


def _stored_tensor(storage: Storage, offset: int, size: Any, stride: Any, *_rest: object) -> StoredTensor:
    """In place of torch._utils._rebuild_tensor_v2."""
    return StoredTensor(storage, offset, tuple(size), tuple(stride))


def _parameter(data: StoredTensor, *_rest: object) -> StoredTensor:
    """In place of torch._utils._rebuild_parameter."""
    return data


def _reconstructed(cls: type, *_rest: object) -> Placeholder:
    """In place of copyreg._reconstructor, which makes plain objects in the oldest protocols."""
    if not (isinstance(cls, type) and issubclass(cls, Placeholder)):
        raise UnsafeCheckpointError(f"the pickle asks to make an object of {cls!r}; refused, nothing was run")
    return cls.__new__(cls)


def _dropped(*_args: object) -> Placeholder:
    """In place of functions whose results are of no use here: numpy scalars, devices, encoded bytes."""
    return _new_placeholder()


def _size(*args: Any) -> tuple[int, ...]:
    """In place of torch.Size."""
    return tuple(args[0]) if args else ()


_KNOWN: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _stored_tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _dropped,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("copyreg", "_reconstructor"): _reconstructed,
    ("copy_reg", "_reconstructor"): _reconstructed,
    ("_codecs", "encode"): _dropped,
    ("numpy", "dtype"): _dropped,
    **{
        (f"numpy.{core}.multiarray", name): _dropped
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    },
}


class InertUnpickler(pickle.Unpickler):
    """Reads a checkpoint's pickle.

    Args:
        file: Binary stream.
        find_storage: Turns a persistent id (the tuple that stands for a storage) into a `Storage`.
    """

    def __init__(self, file: IO[bytes], find_storage: Callable[[Any], Storage] | None = None) -> None:
        super().__init__(file, encoding="utf-8", errors="replace")
        self._find_storage = find_storage

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in for the global; nothing is imported."""
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGE_DTYPES:
            return StorageType(STORAGE_DTYPES[name])
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        return _RefusesCalls(name, (Placeholder,), {"__module__": module})

    def persistent_load(self, identifier: Any) -> Storage:
        if self._find_storage is None:
            raise pickle.UnpicklingError("a tensor where none is expected")
        return self._find_storage(identifier)
