"""All weights files that are built to do harm."""

from __future__ import annotations

import functools
import os
import socket
from collections.abc import Callable
from pathlib import Path

from trdimp_ros.testing.limited_loading import Case
from trdimp_ros.testing.pickle_attacks import pickle_attacks
from trdimp_ros.testing.safetensors_attacks import architecture_attacks, checkpoint_number_attacks, safetensors_attacks


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
