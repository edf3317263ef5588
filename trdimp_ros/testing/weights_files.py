"""Weights files put together from their parts, right or wrong."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable
from typing import Any

from trdimp_ros.models import NetworkConfig, ResNetConfig

MINUTE_NETWORK = NetworkConfig(
    backbone=ResNetConfig(block="basic", stem_width=2, stage_widths=(2, 2, 2), stage_depths=(1, 1, 1), classes=0),
    feature_channels=2,
    key_channels=2,
    distance_bins=3,
    iou_channels=2,
)
"""So small that thousands of its weights files can be written and loaded in a test."""

MARK, TUPLE, REDUCE, DICTIONARY, SET_ITEMS, EMPTY_TUPLE, PAIR, STOP = b"(", b"t", b"R", b"}", b"u", b")", b"\x86", b"."
PROTOCOL = b"\x80\x02"


def text(value: str | bytes) -> bytes:
    """A text in a pickle."""
    data = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """A whole number in a pickle."""
    if 0 <= value < 256:
        return b"K" + bytes([value])
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def named(module: str, name: str) -> bytes:
    """A class or function in a pickle."""
    return f"c{module}\n{name}\n".encode()


def sequence(*items: bytes) -> bytes:
    """A tuple in a pickle."""
    return MARK + b"".join(items) + TUPLE


def numbers(values: Iterable[int]) -> bytes:
    """A tuple of whole numbers in a pickle."""
    return sequence(*(number(value) for value in values))


def dictionary(**items: bytes) -> bytes:
    """A dictionary in a pickle."""
    return DICTIONARY + MARK + b"".join(text(name) + value for name, value in items.items()) + SET_ITEMS


def storage(key: bytes = text("0"), count: bytes = number(4), kind: bytes = named("torch", "FloatStorage")) -> bytes:
    """A reference to a storage in a pickle."""
    return sequence(text("storage"), kind, key, text("cpu"), count) + b"Q"


def tensor(
    stored: bytes = storage(),
    offset: bytes = number(0),
    size: bytes = numbers([4]),
    stride: bytes = numbers([1]),
) -> bytes:
    """A tensor in a pickle."""
    function = named("torch._utils", "_rebuild_tensor_v2")
    hooks = named("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE
    return function + sequence(stored, offset, size, stride, b"\x89", hooks) + REDUCE


def checkpoint(pickled: bytes, entries: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive as torch.save writes it.

    Args:
        pickled: The pickle, without its first and last operation.
        entries: The storages by key; by default one of four numbers.
        compression: How the entries are stored.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", PROTOCOL + pickled + STOP)
        for key, content in ({"0": bytes(16)} if entries is None else entries).items():
            archive.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()


def legacy_checkpoint(pickled: bytes, keys: bytes = b"](" + text("0") + b"e", content: bytes | None = None) -> bytes:
    """A file as torch.save wrote it before 2020.

    Args:
        pickled: The pickle, without its first and last operation.
        keys: The list of storages in a pickle.
        content: The storages: each one's count, then its numbers.
    """
    magic = PROTOCOL + number(0x1950A86A20F9469CFC6C) + STOP
    version = PROTOCOL + number(1001) + STOP
    system = PROTOCOL + dictionary(little_endian=b"\x88") + STOP
    stored = struct.pack("<q", 4) + bytes(16) if content is None else content
    return magic + version + system + PROTOCOL + pickled + STOP + PROTOCOL + keys + STOP + stored


def safetensors(header: Any, content: bytes = b"", length: int | None = None) -> bytes:
    """A .safetensors file.

    Args:
        header: The header, as JSON values or as text.
        content: The numbers.
        length: What the file says of the header's length; None: the truth.
    """
    described = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(described) if length is None else length) + described + content
