"""Opening a weights file: a regular file of a bounded size, and nothing that can block."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from trdimp_ros.checkpoints.errors import CheckpointError

MAX_FILE_BYTES = 2**31
"""Four times the official network with its optimiser's state."""

BLOCK_BYTES = 1 << 20

WHERE_TO_GET = "see 'Weights' in README.md for where the official checkpoint comes from"

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def open_weights_file(path: Path) -> Iterator[BinaryIO]:
    """Open a weights file for reading.

    Everything is read from this one handle, so it does no harm if another file takes its place.

    Raises:
        CheckpointError: if it is missing, no regular file, empty, too large or unreadable, or if it is written to while
            it is open.
    """
    try:
        # A pipe is refused before it is opened, because opening one can wake its writer; O_NONBLOCK is for a pipe that
        # takes the file's place in between.
        _check_regular(os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise CheckpointError(f"does not exist; {WHERE_TO_GET}") from error
    except OSError as error:
        raise CheckpointError(f"cannot be opened ({error.strerror})") from error
    with open(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        _check_regular(before)
        yield file
        after = os.fstat(descriptor)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise CheckpointError("was written to while it was read; try again when it is complete")


def file_size(file: BinaryIO) -> int:
    """Size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def sha256_of(file: BinaryIO) -> str:
    """Hexadecimal SHA-256 of an open file, from its first byte."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def read_exactly(stream: IO[bytes], count: int) -> bytearray:
    """The next bytes of a stream.

    Args:
        stream: A file, or an entry of an archive.
        count: The number of bytes; the caller has compared it with the file's size.

    Raises:
        CheckpointError: if the stream ends before.
    """
    data = bytearray(count)
    view = memoryview(data)
    position = 0
    while position < count:
        read = stream.readinto(view[position : position + BLOCK_BYTES])  # type: ignore[attr-defined]
        if not read:
            raise CheckpointError(f"ends after {position} of {count} bytes of a tensor; download or copy it again")
        position += read
    return data


def _check_regular(status: os.stat_result) -> None:
    for is_kind, name in KINDS:
        if is_kind(status.st_mode):
            raise CheckpointError(f"is {name}; {WHERE_TO_GET}")
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"is no regular file; {WHERE_TO_GET}")
    if status.st_size == 0:
        raise CheckpointError("is empty; download or copy it again")
    if status.st_size > MAX_FILE_BYTES:
        raise CheckpointError(f"has {status.st_size} bytes; a weights file has at most {MAX_FILE_BYTES}")
