"""Reading the files that torch.save writes, the zip archives of today and the streams of before 2020."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

import torch

from trdimp_ros.checkpoints.errors import CheckpointError, printable
from trdimp_ros.checkpoints.inert_globals import Entries, Global
from trdimp_ros.checkpoints.inert_pickle import MAX_PICKLE_BYTES, InertUnpickler
from trdimp_ros.checkpoints.opened_file import file_size, read_exactly
from trdimp_ros.checkpoints.stored_tensor import Storage, is_count

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

MAX_DIRECTORY_BYTES = 1 << 20
"""The most bytes of an archive's list of entries, which takes some 20 times as much memory."""

MAX_KEY = 64
"""The most characters of a storage's name, which is a number in practice."""


def read_torch_file(file: BinaryIO) -> object:
    """Read a file written by torch.save without running anything that it names.

    Args:
        file: An open file, see `open_weights_file`; it must stay open for the tensors to be read.

    Returns:
        What was saved, as `InertUnpickler` gives it: dictionaries are `Entries`, tensors are `StoredTensor`.

    Raises:
        CheckpointError: for a file that is no such file, truncated, damaged or unsafe.
    """
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"PK"):
        return _read_archive(file)
    if start[:1] == b"\x80":
        return _read_legacy(file)
    raise CheckpointError("not a file written by torch.save; give the tracker's .pth.tar or .safetensors file")


def find_entry(content: object, key: str) -> object:
    """The value of a key, None if there is none or it is no dictionary; of two equal keys the last one counts."""
    if isinstance(content, Entries):
        for found, value in reversed(content):
            if isinstance(found, str) and found == key:
                return value
    return None


def _storage_fields(identifier: object) -> tuple[torch.dtype, str, int]:
    """Type, name and number of values of the storage that a persistent id stands for."""
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6):
        raise CheckpointError("damaged: the name of a storage is no tuple of five")
    kind, storage_type, key, _location, count = identifier[:5]
    if not (isinstance(kind, str) and kind == "storage" and isinstance(key, str) and len(key) <= MAX_KEY):
        raise CheckpointError("damaged: the name of a storage is no text, or too long")
    if not isinstance(storage_type, Global) or storage_type.dtype is None or not is_count(count):
        raise CheckpointError("a tensor of a kind that a network does not have, or of a negative or huge size")
    if len(identifier) > 5 and identifier[5] is not None:
        raise CheckpointError("a file of torch 0.1 with shared storages; save it again with a newer torch")
    return storage_type.dtype, key, count


class _Storages(dict[str, Storage]):
    """The storages of a file by name; together they are no larger than the file."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._left = file_size(file)

    def add(self, key: str, storage: Storage) -> Storage:
        self._left -= storage.count * storage.dtype.itemsize
        if self._left < 0:
            raise CheckpointError("truncated or damaged: its tensors are larger than the file")
        self[key] = storage
        return storage


class _ListedArchive:
    """A file for `zipfile`, which would read a list of entries of any length."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file
        self.most = MAX_DIRECTORY_BYTES

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self.most + 1 if size < 0 or size > self.most else size)
        if len(data) > self.most:
            raise CheckpointError(f"its list of entries has more than {self.most} bytes; this is no checkpoint")
        return data


def _read_archive(file: BinaryIO) -> object:
    listed = _ListedArchive(file)
    archive = zipfile.ZipFile(listed)
    listed.most = file_size(file)
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise CheckpointError("a zip file, but not one written by torch.save")
    folder = pickles[0].removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.NameToInfo and _read_entry(archive, order, 16) != b"little":
        raise CheckpointError("written on a big-endian machine; save it on a little-endian one")
    storages = _Storages(file)

    def find_storage(identifier: object) -> Storage:
        dtype, key, count = _storage_fields(identifier)
        if key in storages:
            storage = storages[key]
            if (dtype, count) != (storage.dtype, storage.count):
                raise CheckpointError(f"damaged: storage {printable(key)} has two types or sizes")
            return storage
        name, expected = f"{folder}data/{key}", count * dtype.itemsize
        if _stored_entry(archive, name).file_size != expected:
            raise CheckpointError(
                f"truncated or damaged: storage {printable(key)} has not the {expected} bytes it should"
            )
        return storages.add(key, Storage(dtype, count, lambda: _read_entry(archive, name, expected)))

    return InertUnpickler(bytes(_read_entry(archive, pickles[0], MAX_PICKLE_BYTES))).load(find_storage)


def _stored_entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """An entry that is stored as it is: a compressed one may expand to a thousand times its size."""
    entry = archive.NameToInfo.get(name)
    if entry is None:
        raise CheckpointError(f"truncated or damaged: it has no entry {printable(name)}")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise CheckpointError(f"its entry {printable(name)} is compressed, which torch.save never does; save it again")
    return entry


def _read_entry(archive: zipfile.ZipFile, name: str, most: int) -> bytearray:
    entry = _stored_entry(archive, name)
    if entry.file_size > most:
        raise CheckpointError(f"its entry {printable(name)} has more than {most} bytes; this is no checkpoint")
    with archive.open(entry) as stream:
        data = read_exactly(stream, entry.file_size)
        stream.read(1)  # the end, where the checksum is compared
    return data


def _read_legacy(file: BinaryIO) -> object:
    machine = InertUnpickler(file.read(MAX_PICKLE_BYTES))
    if machine.load() != LEGACY_MAGIC or machine.load() != LEGACY_PROTOCOL:
        raise CheckpointError("a pickle, but not one written by torch.save")
    if find_entry(machine.load(), "little_endian") is not True:
        raise CheckpointError("written on a big-endian machine; save it on a little-endian one")
    storages = _Storages(file)
    positions: dict[str, int] = {}

    def find_storage(identifier: object) -> Storage:
        dtype, key, count = _storage_fields(identifier)

        def read_bytes() -> bytearray:
            file.seek(positions[key])
            return read_exactly(file, count * dtype.itemsize)

        return storages[key] if key in storages else storages.add(key, Storage(dtype, count, read_bytes))

    content = machine.load(find_storage)
    keys = machine.load()
    if not isinstance(keys, list) or len(keys) != len(storages):
        raise CheckpointError("damaged: its list of storages is not that of its tensors")
    file.seek(machine.position)
    for key in keys:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None:
            raise CheckpointError("damaged: its list of storages is not that of its tensors")
        counted = file.read(8)
        positions[key] = file.tell()
        end = positions[key] + storage.count * storage.dtype.itemsize
        if len(counted) < 8 or struct.unpack("<q", counted)[0] != storage.count or end > file_size(file):
            raise CheckpointError(
                f"truncated: storage {printable(key)} ends beyond the file; download or copy it again"
            )
        file.seek(end)
    return content
