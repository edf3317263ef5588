"""What the classes and functions that a checkpoint's pickle names mean here. None of them is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from trdimp_ros.checkpoints.errors import CheckpointError
from trdimp_ros.checkpoints.stored_tensor import Storage, StoredTensor

MAX_NAME = 200
"""The most characters of a class's or function's name with its module."""

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


class Entries(list[tuple[object, object]]):
    """A dictionary as the list of its items, because hashing a key from a file can take forever."""


class Ignored:
    """An object of a class that is not known here."""


IGNORED = Ignored()


@dataclass(frozen=True)
class Global:
    """A class or function that the pickle names; nothing is imported.

    Attributes:
        name: Module and name, as shown in messages.
        call: What a call of it does here; None: calls are refused.
        dtype: The numbers' type, for torch.FloatStorage and its kin.
    """

    name: str
    call: Callable[..., object] | None = None
    dtype: torch.dtype | None = None


def _stored_tensor(storage: object, offset: Any, size: object, stride: object, *_rest: object) -> StoredTensor:
    """In place of torch._utils._rebuild_tensor_v2."""
    if not (isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise CheckpointError("damaged: a tensor without storage, size or stride")
    return StoredTensor(storage, offset, size, stride)


def _parameter(data: object, *_rest: object) -> object:
    """In place of torch._utils._rebuild_parameter."""
    return data


def _entries(*arguments: object) -> Entries:
    """In place of collections.OrderedDict."""
    if arguments:
        raise CheckpointError("written by Python 2; save it again with Python 3")
    return Entries()


def _size(size: object = (), *_rest: object) -> object:
    """In place of torch.Size."""
    return size


def _ignored(*_args: object) -> Ignored:
    """In place of functions whose results are of no use here: sets, numpy scalars, devices, encoded bytes."""
    return IGNORED


FUNCTIONS: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _entries,
    "torch._utils._rebuild_tensor_v2": _stored_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _ignored,
    **{
        f"{module}.{name}": _ignored for module in ("builtins", "__builtin__") for name in ("set", "bytes", "bytearray")
    },
    "copyreg._reconstructor": _ignored,
    "copy_reg._reconstructor": _ignored,
    "_codecs.encode": _ignored,
    "numpy.dtype": _ignored,
    **{
        f"numpy.{core}.multiarray.{name}": _ignored for core in ("core", "_core") for name in ("scalar", "_reconstruct")
    },
}


def find_global(module: object, name: object) -> Global:
    if not (isinstance(module, str) and isinstance(name, str) and len(module) + len(name) <= MAX_NAME):
        raise CheckpointError("damaged: the name of a class is no text, or too long")
    if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGE_DTYPES:
        return Global(name, dtype=STORAGE_DTYPES[name])
    full = f"{module}.{name}"
    return Global(full, call=FUNCTIONS.get(full))
