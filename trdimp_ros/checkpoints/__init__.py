"""Weight files: the official checkpoint, safetensors, and reproducible untrained weights."""

from trdimp_ros.checkpoints.errors import CheckpointError, UnsafeCheckpointError
from trdimp_ros.checkpoints.weights import WeightsInfo, convert, load_network, untrained_network

__all__ = [
    "CheckpointError",
    "UnsafeCheckpointError",
    "WeightsInfo",
    "convert",
    "load_network",
    "untrained_network",
]
