"""Loading, checking and converting the network's weights."""

from __future__ import annotations

import os
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from trdimp_ros.checkpoints.architecture import Entry, check_layout, network_layout, parse_architecture
from trdimp_ros.checkpoints.errors import CheckpointError, printable
from trdimp_ros.checkpoints.inert_globals import Entries
from trdimp_ros.checkpoints.opened_file import open_weights_file, sha256_of
from trdimp_ros.checkpoints.safetensors_file import read_safetensors
from trdimp_ros.checkpoints.stored_tensor import StoredTensor
from trdimp_ros.checkpoints.torch_file import find_entry, read_torch_file
from trdimp_ros.checkpoints.untrained import packaged_statistics, untrained_state_dict
from trdimp_ros.models import NetworkConfig, TrDiMPNet

MAX_TENSORS = 10_000
MAX_TENSOR_NAME = 256
MAX_PATH = 300
"""How many characters of a path a message shows."""

OFFICIAL_ARCHITECTURE = NetworkConfig()
"""The architecture of checkpoints, which do not say what they are."""

BUNDLED_WEIGHTS = Path(__file__).with_name("compact.safetensors")
BUNDLED_PRESET = "compact"


@dataclass(frozen=True)
class WeightsInfo:
    """Where a network's weights come from.

    Attributes:
        name: The file's name, or ``untrained``; like all texts here it is cut and safe to print.
        sha256: The file's hexadecimal SHA-256; empty for untrained weights.
        preset: The preset that they are meant for, empty if not recorded.
        source: The file that they were converted from, or how they came about; empty if not recorded.
        source_sha256: The source file's hexadecimal SHA-256, empty if not recorded.
    """

    name: str
    sha256: str = ""
    preset: str = ""
    source: str = ""
    source_sha256: str = ""

    @property
    def trained(self) -> bool:
        """False for the reproducible untrained weights."""
        return self.name != "untrained"


def untrained_network() -> tuple[TrDiMPNet, WeightsInfo]:
    """The default architecture with reproducible weights that nobody trained."""
    network = TrDiMPNet(NetworkConfig())
    statistics, salt = packaged_statistics()
    network.load_state_dict(untrained_state_dict(network, statistics, salt), strict=True)
    return network.eval(), WeightsInfo("untrained")


def bundled_network() -> tuple[TrDiMPNet, WeightsInfo]:
    """The compact network with the trained weights that come with the package (docs/model_card.md)."""
    return load_network(BUNDLED_WEIGHTS)


def default_network(preset: str) -> tuple[TrDiMPNet, WeightsInfo]:
    """The network of a preset when no weights file is given: the bundled one for `BUNDLED_PRESET`, else untrained."""
    return bundled_network() if preset == BUNDLED_PRESET else untrained_network()


def load_network(path: str | Path) -> tuple[TrDiMPNet, WeightsInfo]:
    """Build the network that a weights file holds.

    A file can be damaged or hostile. Nothing that it names is imported or run, and no network is made before the file
    is known to hold its numbers, so time and memory are bounded by the file's size (docs/weights.md).

    Args:
        path: A .safetensors file written by `convert`, or an official checkpoint (.pth.tar).

    Returns:
        The network in eval mode on the CPU, and where its weights come from.

    Raises:
        CheckpointError: for a file that is missing, truncated, damaged, unsafe, or of another architecture.
    """
    path = Path(path)
    name = printable(str(path), MAX_PATH)
    try:
        with open_weights_file(path) as file:
            content = _read(file, path.suffix)
            network = _build(content)
            info = _info(path, file, content.metadata)
    except CheckpointError as error:
        raise type(error)(f"weights file {name}: {error}") from error
    except MemoryError as error:
        raise CheckpointError(f"weights file {name}: there is not enough memory to load it") from error
    except Exception as error:  # whatever the libraries below raise for a damaged file
        detail = error.args[0] if error.args and isinstance(error.args[0], str) else ""
        raise CheckpointError(
            f"weights file {name}: truncated or damaged ({type(error).__name__}: {printable(detail)}); "
            "download or copy it again"
        ) from error
    return network, info


def convert(source: str | Path, target: str | Path, preset: str = "trdimp") -> WeightsInfo:
    """Write an official checkpoint, or any weights file, as .safetensors with its origin in the metadata.

    Args:
        source: The file to read.
        target: The file to write, with the suffix .safetensors; it may be the source.
        preset: Name of the preset that the weights are meant for, stored in the metadata.

    Returns:
        What `load_network` says of the file written.

    Raises:
        CheckpointError: as in `load_network`; for another suffix, or a target that cannot be written.
    """
    target = Path(target)
    if target.suffix != ".safetensors":
        raise CheckpointError(f"the converted file must end in .safetensors, got {printable(str(target), MAX_PATH)}")
    network, info = load_network(source)
    save_network(network, target, preset=preset, source=info.name, source_sha256=info.sha256)
    return WeightsInfo(printable(target.name), file_sha256(target), preset, info.name, info.sha256)


def save_network(network: TrDiMPNet, target: Path, half: bool = False, **origin: str) -> None:
    """Write a network as .safetensors.

    The file is written beside the target and takes its place when it is complete.

    Args:
        network: The network to write.
        target: The file to write.
        half: Whether to store matrices and convolutions as float16, in half the space; vectors, such as the numbers of
            the batch norms, stay float32.
        origin: More metadata.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    # Two names share the self attention layer; the format wants every tensor to have memory of its own.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.dim() > 1 else tensor for name, tensor in tensors.items()}
    partial = target.with_name(f"{target.name}.partial")
    try:
        save_file(tensors, partial, metadata={"architecture": network.config.to_json(), **origin})
        os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {printable(str(target), MAX_PATH)}: {printable(str(error))}") from error


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return sha256_of(file)


class _Content(NamedTuple):
    """What a weights file holds, its numbers not read yet."""

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    config: NetworkConfig


def _read(file: BinaryIO, suffix: str) -> _Content:
    if suffix != ".safetensors":
        return _Content(_state_of_checkpoint(read_torch_file(file)), {}, OFFICIAL_ARCHITECTURE)
    tensors, metadata = read_safetensors(file)
    if "architecture" not in metadata:
        raise CheckpointError("no architecture in its metadata; write it with 'trdimp convert'")
    return _Content(tensors, metadata, parse_architecture(metadata["architecture"]))


def _state_of_checkpoint(content: object) -> dict[str, StoredTensor]:
    """The tensors of a checkpoint's entry ``net``, or of a bare state dict."""
    state = find_entry(content, "net") or content
    if not isinstance(state, Entries) or not 0 < len(state) <= MAX_TENSORS:
        raise CheckpointError("no network in it (no entry 'net'); give the tracker's checkpoint")
    tensors = {}
    for name, value in state:
        if not isinstance(name, str) or len(name) > MAX_TENSOR_NAME or not isinstance(value, StoredTensor):
            shown = printable(name) if isinstance(name, str) else "one without a name"
            raise CheckpointError(f"its entries are not all tensors; found {shown}")
        tensors[name] = value
    return tensors


def _build(content: _Content) -> TrDiMPNet:
    """The network in eval mode; nothing of its size is made before the file is known to hold it."""
    layout = network_layout(content.config)
    check_layout(content.tensors, layout)
    state = {name: _read_checked(name, content.tensors[name], entry) for name, entry in layout.items()}
    network = TrDiMPNet(content.config)
    network.load_state_dict(state, strict=True)
    return network.eval()


def _read_checked(name: str, stored: StoredTensor, entry: Entry) -> torch.Tensor:
    """The tensor as the network stores it: finite, and no variance below 0."""
    value = stored.read().to(entry.dtype)
    if not torch.isfinite(value).all():
        raise CheckpointError(f"{name} holds numbers that are not finite in {entry.dtype}; download or train it again")
    if name.endswith("running_var") and (value < 0).any():
        raise CheckpointError(f"{name} holds a negative variance; download or train it again")
    return value


def _info(path: Path, file: BinaryIO, metadata: Mapping[str, str]) -> WeightsInfo:
    source_sha256 = metadata.get("source_sha256", "")
    is_sha256 = len(source_sha256) == 64 and all(digit in string.hexdigits for digit in source_sha256)
    return WeightsInfo(
        name=printable(path.name),
        sha256=sha256_of(file),
        preset=printable(metadata.get("preset", "")),
        source=printable(metadata.get("source", ""), 1000),
        source_sha256=source_sha256 if is_sha256 else "",
    )
