"""Weight files: the bundled ones, the official checkpoint, safetensors, and reproducible untrained weights."""

from trdimp_ros.checkpoints.errors import CheckpointError, UnsafeCheckpointError
from trdimp_ros.checkpoints.weights import (
    BUNDLED_PRESET,
    WeightsInfo,
    bundled_network,
    convert,
    default_network,
    load_network,
    untrained_network,
)

__all__ = [
    "BUNDLED_PRESET",
    "CheckpointError",
    "UnsafeCheckpointError",
    "WeightsInfo",
    "bundled_network",
    "convert",
    "default_network",
    "load_network",
    "untrained_network",
]
