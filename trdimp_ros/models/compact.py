"""The compact network: TrDiMP's design with a small backbone, for processors without a GPU."""

from __future__ import annotations

from trdimp_ros.models.backbones import EfficientNetLite0Config
from trdimp_ros.models.config import NetworkConfig, ResNetConfig

COMPACT_NETWORK = NetworkConfig(
    backbone=EfficientNetLite0Config(),
    feature_channels=128,
    key_channels=64,
    iou_channels=64,
    direct_channels=96,
)
"""What ``trdimp train`` trains: with both kinds of box head, so that they can be compared on the same samples."""

FIRST_COMPACT_NETWORK = NetworkConfig(
    backbone=ResNetConfig(block="basic", stem_width=32, stage_widths=(32, 64, 128), stage_depths=(2, 2, 2), classes=0),
    feature_channels=128,
    key_channels=64,
    iou_channels=128,
)
"""The compact network of the first releases, whose backbone was trained from nothing; its files are still read."""
