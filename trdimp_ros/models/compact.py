"""The compact network: TrDiMP's design with a small backbone, for processors without a GPU."""

from __future__ import annotations

from trdimp_ros.models.backbones import EfficientNetLite0Config
from trdimp_ros.models.config import NetworkConfig

COMPACT_NETWORK = NetworkConfig(
    backbone=EfficientNetLite0Config(),
    feature_channels=128,
    key_channels=64,
    iou_channels=64,
    direct_channels=96,
    appearance_channels=64,
)
"""What ``trdimp train`` trains and the package brings: with both kinds of box head and the appearance head."""
