"""Loading, checking and converting the network's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trdimp_ros.checkpoints.errors import CheckpointError
from trdimp_ros.checkpoints.inert_pickle import StoredTensor
from trdimp_ros.checkpoints.torch_file import read_torch_file
from trdimp_ros.checkpoints.untrained import packaged_statistics, untrained_state_dict
from trdimp_ros.models import NetworkConfig, TrDiMPNet

MAX_LISTED = 10
"""How many wrong entries an error message lists."""

BUNDLED_WEIGHTS = Path(__file__).with_name("compact.safetensors")
BUNDLED_PRESET = "compact"

WHERE_TO_GET = "see 'Weights' in README.md for where the official checkpoint comes from"


@dataclass(frozen=True)
class WeightsInfo:
    """Where a network's weights come from.

    Attributes:
        name: File name, or ``untrained``.
        sha256: Of the file; empty for untrained weights.
        preset: The preset they are meant for, empty if not recorded.
        source: File that they were converted from, empty if not recorded.
        source_sha256: Of that file.
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

    Args:
        path: A .safetensors file written by `convert`, or an official checkpoint (.pth.tar).

    Returns:
        The network in eval mode on the CPU, and where its weights come from.

    Raises:
        CheckpointError: for a file that is missing, truncated, unsafe, or of another architecture.
    """
    path = Path(path)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"weights file {path} {problem}; {WHERE_TO_GET}")
    if path.suffix == ".safetensors":
        state, metadata = _read_safetensors(path)
        if "architecture" not in metadata:
            raise CheckpointError(f"{path}: no architecture in its metadata; write it with 'trdimp convert'")
        try:
            config = NetworkConfig.from_json(metadata["architecture"])
        except ValueError as error:
            raise CheckpointError(f"{path}: {error}") from error
    else:
        state, metadata, config = read_torch_file(path, _state_of_checkpoint), {}, NetworkConfig()
    network = TrDiMPNet(config)
    _load_strictly(network, state, path)
    info = WeightsInfo(
        name=path.name,
        sha256=file_sha256(path),
        preset=metadata.get("preset", ""),
        source=metadata.get("source", ""),
        source_sha256=metadata.get("source_sha256", ""),
    )
    return network.eval(), info


def convert(source: str | Path, target: str | Path, preset: str = "trdimp") -> WeightsInfo:
    """Write an official checkpoint, or any weights file, as .safetensors with its origin in the metadata.

    Args:
        source: File to read.
        target: File to write, with the suffix .safetensors.
        preset: Name of the preset that the weights are meant for, stored in the metadata.

    Returns:
        Of the file written.

    Raises:
        CheckpointError: as in `load_network`; for another suffix, or a target that cannot be written.
    """
    target = Path(target)
    if target.suffix != ".safetensors":
        raise CheckpointError(f"the converted file must end in .safetensors, got {target}")
    network, info = load_network(source)
    save_network(network, target, preset=preset, source=info.name, source_sha256=info.sha256)
    return WeightsInfo(target.name, file_sha256(target), preset, info.name, info.sha256)


def save_network(network: TrDiMPNet, target: Path, half: bool = False, **origin: str) -> None:
    """Write a network as .safetensors.

    Args:
        network: To write.
        target: File to write.
        half: Store matrices and convolutions as float16, in half the space; vectors, such as the batch norms' numbers,
            stay float32.
        origin: More metadata.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    # Two names share the self attention layer; the format wants every tensor to have memory of its own.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.dim() > 1 else tensor for name, tensor in tensors.items()}
    try:
        save_file(tensors, target, metadata={"architecture": network.config.to_json(), **origin})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot write {target}: {error}") from error


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)


def _sha256(file: Any) -> str:
    """For Python 3.10, whose hashlib has no file_digest."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: truncated or damaged ({error}); download or convert it again") from error


def _state_of_checkpoint(content: Any) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint's entry ``net``, or of a bare state dict."""
    state = content.get("net", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state:
        raise CheckpointError("no network in it (no entry 'net'); give the tracker's checkpoint")
    if not all(isinstance(name, str) and isinstance(value, StoredTensor) for name, value in state.items()):
        found = ", ".join(str(name) for name in list(state)[:MAX_LISTED])
        raise CheckpointError(f"its entries are not all tensors; found {found}")
    try:
        return {name: value.read() for name, value in state.items()}
    except ValueError as error:
        raise CheckpointError(f"damaged: {error}") from error


def _load_strictly(network: TrDiMPNet, state: Mapping[str, torch.Tensor], path: Path) -> None:
    expected = network.state_dict()
    problems = [f"missing {name}" for name in expected if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in expected]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if problems:
        listed = "; ".join(problems[:MAX_LISTED])
        more = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        raise CheckpointError(f"{path}: not a network of the expected architecture: {listed}{more}. {WHERE_TO_GET}")
    network.load_state_dict(state, strict=True)
