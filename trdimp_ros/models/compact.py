"""The compact network: TrDiMP's design with a small residual backbone, for processors without a GPU."""

from __future__ import annotations

from trdimp_ros.models.config import NetworkConfig, ResNetConfig

COMPACT_NETWORK = NetworkConfig(
    backbone=ResNetConfig(block="basic", stem_width=32, stage_widths=(32, 64, 128), stage_depths=(2, 2, 2), classes=0),
    feature_channels=128,
    key_channels=64,
    iou_channels=128,
)
"""2.4 million parameters; a search area of 256x256 pixels costs a fortieth of ResNet-50's at 352x352."""
