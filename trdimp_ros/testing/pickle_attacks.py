"""Checkpoints that are built to hang, fill or crash the process that loads them."""

from __future__ import annotations

import io
import zipfile

from trdimp_ros.testing.weights_files import (
    DICTIONARY,
    EMPTY_TUPLE,
    MARK,
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
