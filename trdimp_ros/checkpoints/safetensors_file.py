"""Reading .safetensors files.

The format is a length, a JSON header and the numbers. The safetensors package, with which such files are written here,
maps a file into memory to read it: then a file that is cut while it is in use kills the process by a signal. It also
takes headers of 100 MB. So the header is read here, with bounds, and the numbers like those of any other file.
"""

from __future__ import annotations

import math
from typing import BinaryIO

import torch

from trdimp_ros.checkpoints.errors import CheckpointError, printable
from trdimp_ros.checkpoints.opened_file import file_size, read_exactly
from trdimp_ros.checkpoints.stored_tensor import MAX_DIMENSIONS, Storage, StoredTensor, is_count
from trdimp_ros.checkpoints.strict_json import parse_json

MAX_HEADER_BYTES = 1 << 20
"""Twenty times the header of the official network."""

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(file: BinaryIO) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The tensors of a file, not read yet, and its metadata.

    Args:
        file: An open file, see `open_weights_file`; it must stay open for the tensors to be read.

    Raises:
        CheckpointError: for a file that is truncated, damaged or something else.
    """
    size = file_size(file)
    length = int.from_bytes(file.read(8), "little")
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise CheckpointError(
            f"truncated or damaged: its header would have {length} bytes; download or convert it again"
        )
    header = parse_json(bytes(read_exactly(file, length)), MAX_HEADER_BYTES, "the header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError("damaged: its metadata are no texts")
    tensors = {name: _describe(file, 8 + length, name, fields) for name, fields in header.items()}
    _check_complete(tensors, header, size - 8 - length)
    return tensors, metadata


def _describe(file: BinaryIO, start: int, name: str, fields: object) -> StoredTensor:
    """What the header says of one tensor; `start` is where the numbers of the file begin."""
    dtype_name, shape, span = (
        (fields.get("dtype"), fields.get("shape"), fields.get("data_offsets"))
        if isinstance(fields, dict)
        else (None, None, None)
    )
    dtype = DTYPES.get(dtype_name) if isinstance(dtype_name, str) else None
    if dtype is None:
        raise CheckpointError(f"{printable(name)} has a type that a network does not have")
    if not (isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS and all(is_count(length) for length in shape)):
        raise CheckpointError(f"damaged: {printable(name)} has no shape")
    count = math.prod(shape)
    if not (
        isinstance(span, list)
        and len(span) == 2
        and all(is_count(position) for position in span)
        and span[1] - span[0] == count * dtype.itemsize
    ):
        raise CheckpointError(f"damaged: {printable(name)} has not the number of bytes of its shape")

    def read_bytes() -> bytearray:
        file.seek(start + span[0])
        return read_exactly(file, span[1] - span[0])

    stride = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return StoredTensor(Storage(dtype, count, read_bytes), 0, tuple(shape), tuple(stride))


def _check_complete(tensors: dict[str, StoredTensor], header: dict[str, dict[str, list[int]]], size: int) -> None:
    """The tensors lie one behind the other and fill the file, so that no two share their numbers."""
    end = 0
    for begin, stop in sorted(header[name]["data_offsets"] for name in tensors):
        if begin != end:
            raise CheckpointError("damaged: its tensors overlap or leave a gap")
        end = stop
    if end != size:
        raise CheckpointError(
            f"truncated or damaged: {size} bytes of numbers, expected {end}; download or convert it again"
        )
