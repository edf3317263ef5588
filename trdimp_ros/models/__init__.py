"""The TrDiMP network: pure torch modules and functions, without files, cameras or ROS."""

from trdimp_ros.models.backbones import Backbone, BackboneConfig, ResNetConfig
from trdimp_ros.models.config import NetworkConfig
from trdimp_ros.models.network import TrDiMPNet

__all__ = ["Backbone", "BackboneConfig", "NetworkConfig", "ResNetConfig", "TrDiMPNet"]
