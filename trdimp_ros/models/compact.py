"""The compact network: TrDiMP's design with a small backbone, for processors without a GPU."""

from __future__ import annotations

from dataclasses import replace

from trdimp_ros.models.backbones import EfficientNetLite0Config, ResNetConfig
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

COMPACT_RESNET_NETWORK = replace(
    COMPACT_NETWORK,
    backbone=ResNetConfig(block="basic", stem_width=32, stage_widths=(32, 64, 128), stage_depths=(2, 2, 2), classes=0),
)
"""The same with the residual backbone of the first generation, which starts from random weights: to compare with."""

COMPACT_NETWORKS: dict[str, NetworkConfig] = {"compact": COMPACT_NETWORK, "compact_resnet": COMPACT_RESNET_NETWORK}
"""What can be trained, by name."""
