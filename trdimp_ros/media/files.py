"""Files in and out: names that OpenCV can open, and outputs that appear only when they are complete."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opencv_path(path: Path) -> Iterator[str]:
    """A name under which OpenCV opens the file.

    OpenCV passes names on as UTF-8 and crashes on a name that cannot be written so; such a file is reached through a
    symbolic link with a plain name.

    Args:
        path: The file, which may not exist yet.

    Yields:
        The path itself, or the link, which is removed at the end.
    """
    text = str(path)
    if os.fsencode(path) == text.encode("utf-8", "replace"):
        yield text
        return
    with tempfile.TemporaryDirectory(prefix="trdimp-") as folder:
        link = Path(folder) / f"file{path.suffix if path.suffix.isascii() else ''}"
        link.symlink_to(path.absolute())
        yield str(link)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold back ctrl-C and SIGTERM in this thread until the end.

    For OpenCV's reading and writing of files: a signal ends the system call that it waits in, and FFmpeg takes that
    for a damaged file or a full disk.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Write a file beside its place and put it there at the end, so that nobody ever finds half of it.

    At an interrupt what has been written is put there too; at an error it is removed, and a file that was there before
    stays as it was. A device or a pipe (``/dev/stdout``) is written to directly.

    Args:
        path: The file to write; what a symbolic link points to is replaced, not the link.

    Yields:
        An empty file in the same folder and with the same suffix, to be written.

    Raises:
        ValueError: if the path is a folder, or its folder does not exist.
        OSError: if the folder cannot be written, or the disk is full.
    """
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if path.is_relative_to("/dev") or (path.exists() and not path.is_file()):
        yield path
        return
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {target.parent}")
    beside = target.with_name(f".trdimp-{secrets.token_hex(6)}{target.suffix if len(target.suffix) < 16 else ''}")
    beside.touch(exist_ok=False)
    try:
        try:
            yield beside
        except KeyboardInterrupt:
            if beside.stat().st_size:
                _put(beside, target)
            raise
        _put(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _put(beside: Path, target: Path) -> None:
    """Have the disk confirm the file, so that a late error is not lost, and give it its name."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(target)
