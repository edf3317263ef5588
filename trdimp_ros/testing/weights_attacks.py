"""Weights files that are built to hang, fill or crash the process that loads them, or that hold unusable numbers."""

from __future__ import annotations

import functools
import io
import json
import math
import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.limited_loading import Case
from trdimp_ros.testing.weights_files import (
    DICTIONARY,
    EMPTY_TUPLE,
    MARK,
    MINUTE_NETWORK,
    PAIR,
    PROTOCOL,
    REDUCE,
    SET_ITEMS,
    STOP,
    checkpoint,
    dictionary,
    legacy_checkpoint,
    named,
    number,
    numbers,
    safetensors,
    sequence,
    storage,
    tensor,
    text,
)

KEEP = b"q\x00"
RECALL = b"h\x00"
DOUBLED = EMPTY_TUPLE + (KEEP + RECALL + PAIR) * 60
"""A tuple that holds one tuple twice, which holds one twice, and so on: hashing or printing it takes 2^60 steps."""

DOUBLED_LIST = b"]" + (KEEP + b"0](" + RECALL + RECALL + b"e") * 60
"""The same of lists, which can be printed but not hashed."""

NETWORK_STATE = {name: value.clone() for name, value in TrDiMPNet(MINUTE_NETWORK).state_dict().items()}
ARCHITECTURE = json.loads(MINUTE_NETWORK.to_json())
WEIGHT = "classifier.filter_initializer.filter_conv.weight"
VARIANCE = "feature_extractor.bn1.running_var"
COUNT = "feature_extractor.bn1.num_batches_tracked"


def pickle_attacks() -> dict[str, tuple[bytes, str]]:
    """Checkpoints: name -> file, pattern of the refusal."""
    wide = MARK + b"".join(number(0) for _ in range(100_000)) + b"t" + KEEP
    colliding = b"".join(number(index * (2**61 - 1)) + b"N" for index in range(1, 60_001))
    net = checkpoint
    return {
        "print a storage's type": (net(dictionary(net=tensor(storage(kind=DOUBLED)))), "kind that a network"),
        "print a storage's name": (net(dictionary(net=tensor(storage(key=DOUBLED_LIST)))), "no text"),
        "print an entry's name": (net(dictionary(net=DICTIONARY + MARK + DOUBLED + b"NN" + b"Nu")), "not all tensors"),
        "print a tensor's size": (net(dictionary(net=dictionary(a=tensor(size=DOUBLED)))), "axes"),
        "hash a key": (net(DICTIONARY + DOUBLED + b"Ns"), "not all tensors"),
        "hash a member of a set": (
            net(dictionary(a=named("builtins", "set") + b"](" + DOUBLED + b"e" + b"\x85" + REDUCE)),
            "no network|not all",
        ),
        "hash colliding keys": (net(DICTIONARY + MARK + colliding + SET_ITEMS), "no network"),
        "compare with the magic number": (PROTOCOL + DOUBLED + STOP, "not one written by torch.save"),
        "two megabytes of nested tuples": (net(dictionary(net=EMPTY_TUPLE + b"\x85" * 2_000_000)), "operations"),
        "nested tuples within the budget": (net(dictionary(net=EMPTY_TUPLE + b"\x85" * 400_000)), "no network"),
        "nested tuples as a key": (net(DICTIONARY + EMPTY_TUPLE + b"\x85" * 400_000 + b"Ns"), "not all tensors"),
        "nested lists within the budget": (net(dictionary(net=b"]" * 200_000 + b"a" * 199_999)), "no network"),
        "nested dictionaries within the budget": (
            net(dictionary(net=(DICTIONARY + b"K\x00") * 100_000 + b"N" + b"s" * 100_000)),
            "not all tensors",
        ),
        "a dictionary in itself": (net(DICTIONARY + KEEP + text("net") + RECALL + b"s"), "not all tensors"),
        "marks without end": (net(MARK * 400_000), "more values than"),
        "a place far out in the memory": (net(b"Nr\xff\xff\xff\x7f"), "out of order"),
        "a place far out in the memory, legacy": (legacy_checkpoint(b"Nr\xff\xff\xff\x7f"), "out of order"),
        "a text longer than the file": (net(b"X\xff\xff\xff\xff"), "ends too early"),
        "bytes longer than the file": (net(b"\x8e" + b"\xff" * 7 + b"\x7f"), "ends too early"),
        "an opcode of protocol 0": (net(b"I1\n"), "opcode 0x49"),
        "an opcode of out-of-band buffers": (net(b"\x97"), "opcode 0x97"),
        "a long tuple as arguments, again and again": (
            net(wide + (named("numpy", "dtype") + RECALL + REDUCE) * 50_000),
            "a long one|more than",
        ),
        "a long list copied again and again": (
            net(
                b"]("
                + b"]K\x00aK\x00a" * 30_000
                + b"e\x85"
                + KEEP
                + (named("collections", "OrderedDict") + RECALL + REDUCE) * 30_000
            ),
            "Python 2",
        ),
        "steps of zero": (
            net(dictionary(net=dictionary(a=tensor(size=numbers([40_000, 40_000]), stride=numbers([0, 0]))))),
            "beyond its storage",
        ),
        "a size beyond the storage": (
            net(dictionary(net=dictionary(a=tensor(size=numbers([10**11]), stride=numbers([1]))))),
            "beyond its storage",
        ),
        "a size beyond all numbers": (net(dictionary(net=tensor(size=numbers([2**900])))), "huge"),
        "a negative size": (net(dictionary(net=tensor(size=numbers([-1])))), "negative"),
        "a size of the wrong type": (net(dictionary(net=tensor(size=sequence(text("x"))))), "no whole number"),
        "many axes": (
            net(dictionary(net=tensor(size=numbers([1] * 100_000), stride=numbers([1] * 100_000)))),
            "axes",
        ),
        "a tensor without arguments": (
            net(named("torch._utils", "_rebuild_tensor_v2") + EMPTY_TUPLE + REDUCE),
            "wrong arguments",
        ),
        "a storage larger than the file": (
            net(dictionary(net=tensor(storage(count=number(10**11))))),
            "bytes it should",
        ),
        "a storage larger than the file, legacy": (
            legacy_checkpoint(dictionary(net=tensor(storage(count=number(10**10))))),
            "larger than the file",
        ),
        "a long name of a class": (net(named("x" * 3_000_000, "y")), "does not end"),
        "control characters in the name of a call": (
            net(text("os\x1b[2J\x07") + text("sys\ntem\r") + b"\x93)R"),
            r"os\\x1b\[2J\\x07",
        ),
        "control characters in an entry's name": (
            net(dictionary(net=DICTIONARY + text("\x1b]0;owned\x07\nnext line\u202e") + b"Ns")),
            r"\\x1b\]0;owned\\x07\\nnext line\\u202e",
        ),
        "an endless name of an entry": (
            net(dictionary(net=dictionary(**{"x" * 1_000_000: tensor()}))),
            "not all tensors",
        ),
        "a compressed pickle": (
            net(dictionary(net=text(bytes(3_000_000))), compression=zipfile.ZIP_DEFLATED),
            "compressed",
        ),
        "a compressed storage": (_compressed_storage(300 << 20), "compressed|bytes it should"),
        "an endless list of entries": (_many_entries(60_000), "list of entries"),
        "entries on top of each other": (_overlapping_entries(1000), "larger than the file|overlap"),
    }


def _compressed_storage(size: int) -> bytes:
    """A storage of zeros whose file takes a thousandth of its size."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        pickled = dictionary(net=dictionary(a=tensor(storage(count=number(size // 4)), size=numbers([size // 4]))))
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), PROTOCOL + pickled + STOP)
        with archive.open("archive/data/0", "w") as stream:
            for _ in range(size >> 20):
                stream.write(bytes(1 << 20))
    return buffer.getvalue()


def _many_entries(count: int) -> bytes:
    """A list of entries that all stand for the same few bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/data.pkl", PROTOCOL + dictionary(net=tensor()) + STOP)
        info = archive.infolist()[0]
        archive.filelist += [info] * count
        archive._didModify = True  # type: ignore[attr-defined]
    return buffer.getvalue()


def _overlapping_entries(count: int) -> bytes:
    """Storages of a megabyte each that all lie in the same megabyte."""
    names = [f"n{index}" for index in range(count)]
    tensors = {name: tensor(storage(key=text(name), count=number(1 << 18)), size=numbers([1 << 18])) for name in names}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", PROTOCOL + dictionary(net=dictionary(**tensors)) + STOP)
        archive.writestr("archive/data/n0", bytes(1 << 20))
        first = archive.infolist()[-1]
        for name in names[1:]:
            entry = zipfile.ZipInfo(f"archive/data/{name}")
            entry.header_offset, entry.CRC = first.header_offset, first.CRC
            entry.file_size = entry.compress_size = first.file_size
            archive.filelist.append(entry)
    return buffer.getvalue()


def architecture_attacks() -> dict[str, tuple[bytes, str]]:
    """.safetensors files with an architecture that is none: name -> file, pattern of the refusal."""

    def with_architecture(value: str) -> bytes:
        """Weights that are right for the architecture before it was changed."""
        return save(NETWORK_STATE, metadata={"architecture": value})

    def changed(part: str, **fields: object) -> bytes:
        architecture = json.loads(MINUTE_NETWORK.to_json())
        (architecture[part] if part else architecture).update(fields)
        return with_architecture(json.dumps(architecture))

    attacks = {
        "nested": (with_architecture('{"backbone":' * 1200 + "1" + "}" * 1200), "nested too deeply|no JSON"),
        "nested lists": (with_architecture('{"backbone":' + "[" * 8000 + "]" * 8000 + "}"), "nested too deeply"),
        "a megabyte": (with_architecture('{"backbone": "' + "x" * 1_000_000 + '"}'), "header|characters"),
        "a long list": (changed("backbone", stage_widths=[1] * 5000), "long list"),
        "a list": (with_architecture("[]"), "no JSON object"),
        "a number": (with_architecture("1" * 10_000), "too long"),
        "no JSON": (with_architecture("{"), "no JSON"),
        "a key twice": (with_architecture('{"a": 1, "a": 1}'), "twice"),
        "empty": (with_architecture("{}"), "cannot be used"),
        "control characters": (with_architecture('{"\x1b[2J": 1}'), "damaged|cannot be used"),
        "an unknown field": (changed("", surprise=1), "cannot be used"),
        "no backbone": (changed("", backbone=None), "cannot be used"),
        "a million blocks": (changed("backbone", stage_depths=[10**6, 1, 1]), "stage_depths|depth"),
        "wide stages": (changed("backbone", stage_widths=[2, 2, 10**6]), "stage_widths|width"),
        "a NaN": (with_architecture(json.dumps(ARCHITECTURE | {"bin_width": math.nan})), "not a number"),
    }
    strange: dict[str, tuple[object, ...]] = {
        "filter_size": (0, -4, 100_000, 10**30, 4.5, "4", None, True, [4]),
        "feature_channels": (0, 10**6, 2.5, "x"),
        "key_channels": (0, 10**6, 2.5),
        "distance_bins": (1, 10**6, 10**9, 3.0),
        "iou_channels": (0, 10**6, None),
        "bin_width": (0, -1, 1e300, 1e-300, "0.1", True, None),
        "block": ("huge", 1, None, ["basic"]),
        "stem_width": (0, 10**6, 1.5, "2", True),
        "stage_widths": ([], [2, 2], [2, 2, 0], [2, 2, 2.5], "222", 2, {"a": 1}, [[2], 2, 2]),
        "stage_depths": ([1, 1], [1, 1, -1], [1, 1, True], None),
        "classes": (-1, 10**7, 0.5),
    }
    for field, values in strange.items():
        part = "backbone" if field in ARCHITECTURE["backbone"] else ""
        for value in values:
            pattern = f"{field}|backbone|beyond all networks|too long|nested"
            attacks[f"{field} = {value!r}"] = (changed(part, **{field: value}), pattern)
    return {f"architecture: {name}": attack for name, attack in attacks.items()}


def safetensors_attacks() -> dict[str, tuple[bytes, str]]:
    """.safetensors files: name -> file, pattern of the refusal."""
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    plain = {"architecture": MINUTE_NETWORK.to_json()}

    def with_state(**changes: torch.Tensor) -> bytes:
        return save(NETWORK_STATE | changes, metadata=plain)

    def with_value(name: str, value: float, dtype: torch.dtype | None = None) -> bytes:
        changed = NETWORK_STATE[name].clone().to(dtype or NETWORK_STATE[name].dtype)
        changed.view(-1)[-1] = value
        return with_state(**{name: changed})

    weight = NETWORK_STATE[WEIGHT]
    return {
        "a header longer than the file": (safetensors({}, length=2**63), "header would have"),
        "a header of 50 megabytes": (safetensors("[" * 50_000_000), "header would have"),
        "a nested header": (safetensors("[" * 1_000_000), "nested too deeply"),
        "a header that is a list": (safetensors([]), "no JSON object"),
        "a header without metadata": (safetensors({"x": one}, bytes(4)), "no architecture"),
        "metadata that are no texts": (safetensors({"__metadata__": {"a": 1}}), "no texts"),
        "metadata that are a list": (safetensors({"__metadata__": [1]}), "no texts"),
        "a tensor that is a list": (safetensors({"x": [1]}), "a type"),
        "an unhashable type": (safetensors({"x": one | {"dtype": [[]]}}, bytes(4)), "a type"),
        "a shape of fractions": (safetensors({"x": one | {"shape": [1.0]}}, bytes(4)), "no shape"),
        "a negative shape": (safetensors({"x": one | {"shape": [-1]}}, bytes(4)), "no shape"),
        "a shape beyond the bytes": (safetensors({"x": one | {"shape": [2**35]}}, bytes(4)), "bytes of its shape"),
        "offsets beyond the file": (
            safetensors({"__metadata__": plain, "x": one | {"shape": [2**35], "data_offsets": [0, 2**37]}}, bytes(4)),
            "truncated",
        ),
        "tensors on top of each other": (
            safetensors({"__metadata__": plain, **{f"x{index}": one for index in range(1000)}}, bytes(4)),
            "overlap",
        ),
        "bytes behind the tensors": (safetensors({"__metadata__": plain, "x": one}, bytes(8)), "truncated"),
        "control characters in a tensor's name": (
            save(NETWORK_STATE | {"\x1b[31m\n": torch.ones(1)}, metadata=plain),
            r"\\x1b\[31m\\n",
        ),
        "a long name of a tensor": (
            save(NETWORK_STATE | {"x" * 200_000: torch.ones(1)}, metadata=plain),
            "unexpected x",
        ),
        "NaN": (with_value(WEIGHT, math.nan), "not finite"),
        "infinity": (with_value(WEIGHT, math.inf), "not finite"),
        "NaN in float16": (with_value(WEIGHT, math.nan, torch.float16), "not finite"),
        "a float64 that overflows": (with_value(WEIGHT, 1e300, torch.float64), "not finite"),
        "a negative variance": (with_value(VARIANCE, -0.1), "negative variance"),
        "int8 weights": (with_state(**{WEIGHT: weight.to(torch.int8)}), "torch.int8"),
        "bool weights": (with_state(**{WEIGHT: weight.to(torch.bool)}), "torch.bool"),
        "complex weights": (with_state(**{WEIGHT: weight.to(torch.complex64)}), "a type"),
        "a count of fractions": (with_state(**{COUNT: torch.tensor(1.5)}), "torch.float32"),
    }


def checkpoint_number_attacks() -> dict[str, tuple[bytes, str]]:
    """Checkpoints with numbers that are none: name -> file, pattern of the refusal."""

    def saved(**changes: torch.Tensor) -> bytes:
        buffer = io.BytesIO()
        torch.save({"net": NETWORK_STATE | changes}, buffer)
        return buffer.getvalue()

    weight = NETWORK_STATE[WEIGHT]
    return {
        "NaN in a checkpoint": (saved(**{WEIGHT: torch.full_like(weight, math.nan)}), "not finite"),
        "a negative variance in a checkpoint": (
            saved(**{VARIANCE: -torch.ones_like(NETWORK_STATE[VARIANCE])}),
            "negative variance",
        ),
        "int8 weights in a checkpoint": (saved(**{WEIGHT: weight.to(torch.int8)}), "torch.int8"),
        "complex weights in a checkpoint": (saved(**{WEIGHT: weight.to(torch.complex64)}), "kind that a network"),
        "a float64 that overflows in a checkpoint": (
            saved(**{WEIGHT: torch.full(weight.shape, 1e300, dtype=torch.float64)}),
            "not finite",
        ),
    }


def place_attacks() -> dict[str, tuple[Callable[[Path], object], str]]:
    """Things that are no regular file: name -> how to make one, pattern of the refusal."""

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.write(b"PK\x03\x04")
            file.truncate(2**42)

    def listening(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))

    return {
        "a pipe": (os.mkfifo, "is a pipe"),
        "a socket": (listening, "is a socket"),
        "an endless device": (lambda path: path.symlink_to("/dev/zero"), "is a device"),
        "a file of four terabytes of nothing": (sparse, "at most"),
        "a link to itself": (lambda path: path.symlink_to(path), "cannot be opened"),
        "an empty file": (Path.touch, "is empty"),
    }


@functools.cache
def all_attacks() -> list[tuple[Case, str]]:
    """Every attack, with the pattern of its refusal."""
    attacks = []
    for suffix, files in (
        (".pth.tar", pickle_attacks() | checkpoint_number_attacks()),
        (".safetensors", architecture_attacks() | safetensors_attacks()),
    ):
        for name, (content, pattern) in files.items():
            attacks.append((Case(name, suffix, functools.partial(Path.write_bytes, data=content)), pattern))
    for name, (make, pattern) in place_attacks().items():
        attacks.append((Case(name, ".safetensors", make), pattern))
    return attacks


def attack(index: int) -> Case:
    """One of `all_attacks`, for `limited_loading`."""
    return all_attacks()[index][0]
