"""Thousands of weights files that are almost right, each drawn from its number.

Most are good files with a few places changed, on every level: bytes, operations of the pickle, numbers in it, fields of
the header, stored numbers. The others are pickles of operations drawn at random that mostly fit together.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import save

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.limited_loading import Case
from trdimp_ros.testing.weights_files import (
    DICTIONARY,
    EMPTY_TUPLE,
    MARK,
    MINUTE_NETWORK,
    REDUCE,
    SET_ITEMS,
    TUPLE,
    checkpoint,
    dictionary,
    legacy_checkpoint,
    named,
    number,
    numbers,
    safetensors,
    storage,
    tensor,
    text,
)

STRANGE_NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    255,
    256,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63,
    2**500,
    -1,
    -(2**31),
)
STRANGE_VALUES: tuple[Any, ...] = (
    *STRANGE_NUMBERS, 0.5, 1e308, True, None, "", "\x1b[2J\n", "F64", "F16", "BOOL", [], {}, [1], [[[]]], {"a": {}},
)  # fmt: skip
STRANGE_BYTES = (
    struct.pack("<f", float("nan")), struct.pack("<f", float("inf")), struct.pack("<f", -1.0), bytes(4), b"\xff" * 8,
    b"\x7f", b".", b"Q", b"R", b"(", b"r\xff\xff\xff\x7f", b"\x80\x02", b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04",
)  # fmt: skip


def case(index: int) -> Case:
    """The case of a number: the same on every machine, up to what torch.save writes."""
    draw = random.Random(index)
    kind, suffix, make = KINDS[index % len(KINDS)]
    content = make(draw)
    return Case(f"{index}: {kind}", suffix, lambda path: path.write_bytes(content))


@functools.cache
def _good(container: str) -> bytes:
    torch.manual_seed(0)
    state = {name: value.clone() for name, value in TrDiMPNet(MINUTE_NETWORK).state_dict().items()}
    if container == "safetensors":
        return save(state, metadata={"architecture": MINUTE_NETWORK.to_json(), "preset": "trdimp"})
    buffer = io.BytesIO()
    torch.save({"net": state, "epoch": 5}, buffer, _use_new_zipfile_serialization=container == "zip")
    return buffer.getvalue()


def _damaged(container: str) -> Callable[[random.Random], bytes]:
    """A good file with bytes changed, inserted, taken out, doubled or cut off, mostly where its structure is."""

    def make(draw: random.Random) -> bytes:
        data = bytearray(_good(container))
        for _ in range(draw.choice((1, 1, 2, 5))):
            end = len(data) if draw.random() < 0.5 else min(len(data), 20_000)
            start = draw.randrange(end)
            if container == "zip" and draw.random() < 0.4:  # the list of entries is at the end
                start = max(0, len(data) - 1 - draw.randrange(12_000))
            _damage(data, start, draw)
        return bytes(data)

    return make


def _damage(data: bytearray, start: int, draw: random.Random) -> None:
    length = draw.choice((1, 1, 2, 4, 8, 60, 1000))
    how = draw.randrange(6)
    if how == 0:
        data[start : start + 1] = bytes([draw.randrange(256)])
    elif how == 1:
        data[start : start + length] = draw.randbytes(length)
    elif how == 2:
        del data[start : start + length]
    elif how == 3:
        data[start:start] = data[start : start + length] * draw.choice((1, 2, 50))
    elif how == 4:
        strange = draw.choice(STRANGE_BYTES)
        data[start : start + len(strange)] = strange
    else:
        del data[start:]
    data[:0] = b"" if data else b"\x00"


def _changed_header(draw: random.Random) -> bytes:
    """A good .safetensors file with values of its header or of its architecture changed, its length set right."""
    data = _good("safetensors")
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if draw.random() < 0.5:
        architecture = json.loads(header["__metadata__"]["architecture"])
        _change(architecture, draw)
        header["__metadata__"]["architecture"] = json.dumps(architecture)
    else:
        for _ in range(draw.choice((1, 2))):
            _change(header, draw)
    return safetensors(header, data[8 + length :])


def _change(value: Any, draw: random.Random) -> None:
    """Replace, remove or add one value somewhere in JSON values."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = draw.choice(keys)
        if isinstance(value[key], (dict, list)) and draw.random() < 0.85:
            value = value[key]
            continue
        how = draw.randrange(8)
        if how == 0:
            del value[key]
        elif how == 1 and isinstance(value, dict):
            value[draw.choice(("x", "\x1b[0m", "y" * 2000))] = value[key]
        elif isinstance(value[key], int) and how < 5:
            value[key] += draw.choice((-1, 1, 4, 1000))
        else:
            value[key] = draw.choice(STRANGE_VALUES)
        return


def _changed_numbers(draw: random.Random) -> bytes:
    """A good .safetensors file with stored numbers changed; it may stay a good one."""
    data = bytearray(_good("safetensors"))
    start = 8 + int.from_bytes(data[:8], "little")
    for _ in range(draw.choice((1, 3, 20))):
        position = start + draw.randrange((len(data) - start) // 4) * 4
        data[position : position + 4] = draw.choice((draw.randbytes(4), *STRANGE_BYTES[:4]))
    return bytes(data)


@functools.cache
def _operations() -> tuple[list[bytes], dict[str, bytes]]:
    """The good checkpoint's pickle, cut into its operations, and its storages."""
    with zipfile.ZipFile(io.BytesIO(_good("zip"))) as archive:
        names = archive.namelist()
        pickled = archive.read(next(name for name in names if name.endswith("data.pkl")))
        entries = {name.rsplit("/", 1)[1]: archive.read(name) for name in names if "/data/" in name}
    starts = [position for _, _, position in pickletools.genops(pickled)] + [len(pickled)]
    parts = [pickled[begin:end] for begin, end in itertools.pairwise(starts)]
    return parts[1:-1], entries


def _changed_pickle(draw: random.Random) -> bytes:
    """A good checkpoint with operations of its pickle changed, in an archive whose checksums are right."""
    parts, entries = _operations()
    parts = list(parts)
    for _ in range(draw.choice((1, 1, 2, 4))):
        place, length, how = draw.randrange(len(parts)), draw.choice((1, 1, 2, 10)), draw.randrange(6)
        if how == 0:
            del parts[place : place + length]
        elif how == 1:
            parts[place:place] = parts[place : place + length] * draw.choice((1, 3))
        elif how == 2:
            other = draw.randrange(len(parts))
            parts[place], parts[other] = parts[other], parts[place]
        elif how == 3:
            parts[place] = number(draw.choice(STRANGE_NUMBERS))
        elif how == 4:
            parts[place] = _operation(draw)
        else:
            changed = bytearray(parts[place])
            changed[draw.randrange(len(changed))] = draw.randrange(256)
            parts[place] = bytes(changed)
    return checkpoint(b"".join(parts), entries)


DOUBLED = EMPTY_TUPLE + b"q\x00h\x00\x86" * 60
"""A tuple that holds one tuple twice, which holds one twice, and so on."""

VALUES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda draw: number(draw.choice(STRANGE_NUMBERS)),
    lambda draw: text(
        draw.choice(("net", "0", "storage", "x" * 300, "\x1b[2J", "\udcff".encode("utf-8", "surrogatepass")))
    ),
    lambda draw: draw.choice((b"N", b"\x88", b"\x89", b"]", DICTIONARY, EMPTY_TUPLE, b"\x8f", b"G" + bytes(8))),
    lambda draw: b"C" + bytes([3]) + draw.randbytes(3),
    lambda draw: DOUBLED,
    lambda draw: draw.choice((storage(), tensor(), dictionary(net=dictionary(a=tensor())))),
    lambda draw: tensor(storage(draw.choice((text("0"), DOUBLED)), number(draw.choice(STRANGE_NUMBERS)))),
    lambda draw: tensor(size=numbers(draw.choices(STRANGE_NUMBERS, k=draw.randrange(10)))),
    lambda draw: tensor(
        offset=number(draw.choice(STRANGE_NUMBERS)),
        size=numbers(draw.choices(STRANGE_NUMBERS, k=2)),
        stride=numbers(draw.choices(STRANGE_NUMBERS[:3], k=2)),
    ),
    lambda draw: named(
        draw.choice(("torch", "torch._utils", "collections", "os", "builtins", "\x1b")),
        draw.choice(("FloatStorage", "_rebuild_tensor_v2", "OrderedDict", "system", "Size", "set", "eval")),
    ),
)
SINGLE_OPERATIONS = (
    MARK, TUPLE, REDUCE, SET_ITEMS, b"s", b"a", b"e", b"\x85", b"\x86", b"\x87", b"0", b"1", b"2", b"Q", b"b", b"\x81",
    b"\x92", b"\x93", b"\x94", b"\x90", b"\x91", b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"r\x10\x00\x00\x00", b"l",
    b"d", b"\x97", b"\x98", b"I1\n", b"i__main__\nx\n", b"o", b"\x82\x01", b"\x95" + bytes(8),
)  # fmt: skip


def _operation(draw: random.Random) -> bytes:
    return draw.choice(SINGLE_OPERATIONS) if draw.random() < 0.5 else draw.choice(VALUES)(draw)


def _random_pickle(draw: random.Random) -> bytes:
    """Operations that mostly find what they need on the stack, some of them many times over."""
    parts = []
    for _ in range(draw.choice((3, 10, 40, 200))):
        if draw.random() < 0.6:
            parts.append(draw.choice(VALUES)(draw))
        elif draw.random() < 0.5:
            items = b"".join(draw.choice(VALUES)(draw) for _ in range(draw.randrange(4)))
            closing = draw.choice((TUPLE, SET_ITEMS, b"e"))
            parts.append(({TUPLE: b"", SET_ITEMS: DICTIONARY, b"e": b"]"}[closing]) + MARK + items + closing)
        else:
            parts.append(_operation(draw))
        if draw.random() < 0.05:
            parts.append(b"".join(parts[-2:])[:200] * draw.choice((3, 50, 5000)))
    return b"".join(parts)


def _random_checkpoint(draw: random.Random) -> bytes:
    pickled = _random_pickle(draw)
    if draw.random() < 0.5:
        pickled = DICTIONARY + MARK + text("net") + pickled + SET_ITEMS
    method = zipfile.ZIP_DEFLATED if draw.random() < 0.1 else zipfile.ZIP_STORED
    return checkpoint(pickled, compression=method)


KINDS: tuple[tuple[str, str, Callable[[random.Random], bytes]], ...] = (
    ("damaged .safetensors", ".safetensors", _damaged("safetensors")),
    ("changed header", ".safetensors", _changed_header),
    ("changed header", ".safetensors", _changed_header),
    ("changed numbers", ".safetensors", _changed_numbers),
    ("damaged archive", ".pth.tar", _damaged("zip")),
    ("damaged legacy file", ".pth.tar", _damaged("legacy")),
    ("changed pickle", ".pth.tar", _changed_pickle),
    ("random pickle", ".pth.tar", _random_checkpoint),
    ("random pickle", ".pth.tar", _random_checkpoint),
    ("random pickle, legacy", ".pth.tar", lambda draw: legacy_checkpoint(_random_pickle(draw))),
)
