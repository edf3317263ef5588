"""Reading the files that torch.save writes, the zip archives of today and the streams of before 2020."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from trdimp_ros.checkpoints.errors import CheckpointError
from trdimp_ros.checkpoints.inert_pickle import InertUnpickler, Storage, StorageType

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


@dataclass
class _LazyStorage:
    """Numbers that are read on first use and kept."""

    dtype: torch.dtype
    count: int
    read_bytes: Callable[[], bytes]
    _values: torch.Tensor | None = None

    def read(self) -> torch.Tensor:
        if self._values is None:
            data = self.read_bytes()
            if len(data) != self.count * self.dtype.itemsize:
                raise EOFError(f"a storage of {self.count} numbers has {len(data)} bytes")
            self._values = (
                torch.frombuffer(bytearray(data), dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)
            )
        return self._values


def read_torch_file(path: Path, use: Callable[[Any], Any]) -> Any:
    """Read a file written by torch.save without running anything that it names.

    Args:
        path: Of the file.
        use: Called with the unpickled object, in which tensors are `StoredTensor`, while the file is open.

    Returns:
        What ``use`` returns.

    Raises:
        CheckpointError: for a file that is no such file, truncated, damaged or unsafe.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start.startswith(b"PK"):
                with zipfile.ZipFile(file) as archive:
                    return use(_read_archive(archive))
            if start[:1] == b"\x80":
                return use(_read_legacy(file, path.stat().st_size))
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error
    except Exception as error:  # whatever reading a damaged file may raise: pickle alone knows a dozen ways
        raise CheckpointError(
            f"{path}: truncated or damaged ({type(error).__name__}: {error}); download or copy it again"
        ) from error
    raise CheckpointError(f"{path}: not a file written by torch.save; give the tracker's .pth.tar or .safetensors file")


def _storage_fields(identifier: Any) -> tuple[torch.dtype, str, int]:
    kind, storage_type, key, _location, count = identifier[:5]
    if kind != "storage" or not isinstance(storage_type, StorageType) or not isinstance(count, int) or count < 0:
        raise pickle.UnpicklingError(f"unknown kind of storage: {identifier!r:.100}")
    return storage_type.dtype, str(key), count


def _read_archive(archive: zipfile.ZipFile) -> Any:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise CheckpointError("a zip file, but not one written by torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.namelist() and archive.read(order) != b"little":
        raise CheckpointError("written on a big-endian machine; save it on a little-endian one")
    storages: dict[str, _LazyStorage] = {}

    def find_storage(identifier: Any) -> Storage:
        dtype, key, count = _storage_fields(identifier)
        if key not in storages:
            entry = archive.getinfo(f"{folder}data/{key}")
            if entry.file_size != count * dtype.itemsize:
                raise EOFError(f"storage {key} of {count} numbers has {entry.file_size} bytes")
            storages[key] = _LazyStorage(dtype, count, lambda: archive.read(entry))
        return storages[key]

    with archive.open(pickles[0]) as stream:
        return InertUnpickler(stream, find_storage).load()


def _read_legacy(file: IO[bytes], size: int) -> Any:
    if InertUnpickler(file).load() != LEGACY_MAGIC or InertUnpickler(file).load() != LEGACY_PROTOCOL:
        raise CheckpointError("a pickle, but not one written by torch.save")
    system = InertUnpickler(file).load()
    if not system["little_endian"]:
        raise CheckpointError("written on a big-endian machine; save it on a little-endian one")
    storages: dict[str, _LazyStorage] = {}
    positions: dict[str, int] = {}

    def find_storage(identifier: Any) -> Storage:
        dtype, key, count = _storage_fields(identifier)
        if len(identifier) > 5 and identifier[5] is not None:
            raise CheckpointError("a file of torch 0.1 with shared storages; save it again with a newer torch")

        def read_bytes() -> bytes:
            file.seek(positions[key])
            return file.read(count * dtype.itemsize)

        return storages.setdefault(key, _LazyStorage(dtype, count, read_bytes))

    content = InertUnpickler(file, find_storage).load()
    for key in InertUnpickler(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storage = storages[key]
        positions[key] = file.tell()
        end = positions[key] + count * storage.dtype.itemsize
        if count != storage.count or end > size:
            raise EOFError(f"storage {key} of {storage.count} numbers ends beyond the file")
        file.seek(end)
    return content
