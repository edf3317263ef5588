"""The TrDiMP network: pure torch modules and functions, without files, cameras or ROS."""

from trdimp_ros.models.config import BackboneConfig, NetworkConfig
from trdimp_ros.models.network import TrDiMPNet

__all__ = ["BackboneConfig", "NetworkConfig", "TrDiMPNet"]
