"""Which files a command may write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode: the same for all names of a file."""


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None]) -> None:
    """Refuse outputs that would overwrite an input, or each other; also through links and other names of one file.

    Args:
        outputs: Files, or folders for files, by the option that names them; None where an option was not given.
        inputs: Files that are read, and folders that must not get other files.

    Raises:
        ValueError: naming option and path.
    """
    read = {found: path for path in inputs if path is not None and (found := _identity(path)) is not None}
    written: dict[Identity | str, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        identity = _identity(path)
        if identity in read:
            raise ValueError(f"{option} {path} would overwrite the input {read[identity]}; choose another name")
        if identity is not None and not path.is_file() and not path.is_dir():
            continue  # a device or a pipe may take several outputs
        key = identity or os.path.realpath(path)
        if key in written:
            raise ValueError(f"{option} and {written[key]} are the same file {path}; choose two names")
        written[key] = option


def _identity(path: Path) -> Identity | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
