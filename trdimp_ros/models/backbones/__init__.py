"""Backbones: networks that turn an image into the two feature maps that the tracker works on.

To add one, write a frozen `BackboneConfig` and a `Backbone` in a module of this folder and enter both in `registry`.
"""

from trdimp_ros.models.backbones.base import Backbone, BackboneConfig
from trdimp_ros.models.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite0Config
from trdimp_ros.models.backbones.registry import (
    backbone_from_json,
    backbone_kinds,
    backbone_to_json,
    build_backbone,
    register_backbone,
)
from trdimp_ros.models.backbones.resnet import ResNet, ResNetConfig

__all__ = [
    "Backbone",
    "BackboneConfig",
    "EfficientNetLite0",
    "EfficientNetLite0Config",
    "ResNet",
    "ResNetConfig",
    "backbone_from_json",
    "backbone_kinds",
    "backbone_to_json",
    "build_backbone",
    "register_backbone",
]
