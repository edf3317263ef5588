"""The architecture that a weights file names, checked before anything is built from it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import torch

from trdimp_ros.checkpoints.errors import CheckpointError, printable
from trdimp_ros.checkpoints.opened_file import WHERE_TO_GET
from trdimp_ros.checkpoints.stored_tensor import StoredTensor
from trdimp_ros.checkpoints.strict_json import parse_json
from trdimp_ros.models import NetworkConfig, TrDiMPNet

MAX_ARCHITECTURE = 1 << 14
"""The most characters of the JSON text; that of a network has some hundred."""

MAX_SIZE = 1 << 20
"""No size in an architecture is larger, whatever it means."""

MAX_LIST = 64
MAX_DEPTH = 4
"""How deeply objects may lie in objects."""

MAX_LISTED = 10
"""How many wrong entries an error message lists."""


class Entry(NamedTuple):
    """Shape and type of one entry of a network's state dict."""

    shape: tuple[int, ...]
    dtype: torch.dtype


def parse_architecture(text: str) -> NetworkConfig:
    """The configuration that a file's JSON text stands for.

    Raises:
        CheckpointError: for a text that is no configuration, or one with sizes beyond all networks.
    """
    _check_value(parse_json(text, MAX_ARCHITECTURE, "its architecture"), MAX_DEPTH)
    try:
        return NetworkConfig.from_json(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"its architecture cannot be used: {printable(str(error), 400)}") from error


def _check_value(value: object, depth: int) -> None:
    """Numbers, names, flags, short lists of them, and objects of these."""
    if isinstance(value, dict) and depth > 0:
        for item in value.values():
            _check_value(item, depth - 1)
    elif isinstance(value, list) and len(value) <= MAX_LIST and depth > 0:
        for item in value:
            _check_value(item, 0)
    elif isinstance(value, (dict, list)):
        raise CheckpointError("its architecture is nested too deeply, or holds a long list")
    elif isinstance(value, (int, float)) and not -MAX_SIZE <= value <= MAX_SIZE:
        raise CheckpointError(f"its architecture holds the number {value:.3g}, beyond all networks")


@functools.lru_cache(maxsize=8)
def network_layout(config: NetworkConfig) -> Mapping[str, Entry]:
    """Names, shapes and types of a network's state dict; no memory is taken for the numbers."""
    with torch.device("meta"):
        state = TrDiMPNet(config).state_dict()
    return {name: Entry(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}


def check_layout(stored: Mapping[str, StoredTensor], layout: Mapping[str, Entry]) -> None:
    """Compare what a file holds with what a network needs, before any numbers are read.

    Raises:
        CheckpointError: if names, shapes or kinds of numbers differ.
    """
    problems = [f"missing {name}" for name in layout if name not in stored]
    problems += [f"unexpected {printable(name)}" for name in stored if name not in layout]
    for name, entry in layout.items():
        if name in stored and stored[name].size != entry.shape:
            problems.append(f"{name} has shape {stored[name].size}, expected {entry.shape}")
        elif name in stored and not _holds(stored[name].dtype, entry.dtype):
            problems.append(f"{name} holds {stored[name].dtype} numbers, expected {entry.dtype}")
    if problems:
        listed = "; ".join(problems[:MAX_LISTED])
        more = f"; and {len(problems) - MAX_LISTED} more" if len(problems) > MAX_LISTED else ""
        raise CheckpointError(f"not a network of the expected architecture: {listed}{more}. {WHERE_TO_GET}")


def _holds(stored: torch.dtype, expected: torch.dtype) -> bool:
    """Any floating-point type may hold weights; whole numbers are stored as they are."""
    return stored == expected or (stored.is_floating_point and expected.is_floating_point)
