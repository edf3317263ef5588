"""Sizes of the network, as dataclasses that can be stored beside the weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from trdimp_ros.models.backbones import BackboneConfig, ResNetConfig, backbone_from_json, backbone_to_json
from trdimp_ros.models.sizes import check_real, check_whole

STRIDE_FINE = 8
"""Image pixels per cell of the finer backbone feature."""

STRIDE = 16
"""Image pixels per cell of the coarser backbone feature, which the classifier works on."""

MAX_FILTER_SIZE = 16
MAX_DISTANCE_BINS = 1000
BIN_WIDTH_RANGE = (1e-3, 100.0)
"""Bounds far beyond any network that was ever trained; a stored architecture is checked against them."""


@dataclass(frozen=True)
class NetworkConfig:
    """All sizes of a TrDiMP network. The defaults are those of the official ResNet-50 checkpoint.

    Attributes:
        backbone: The kind and the sizes of the backbone, see `backbones`.
        feature_channels: Channels of the classification feature, the transformer and the target filter.
        key_channels: Channels of the attention keys.
        filter_size: Side of the target filter in feature cells.
        distance_bins: Number of bins of the filter optimiser's learned radial functions.
        bin_width: Width of one such bin in feature cells.
        iou_channels: Channels of the IoU predictor's features; its reference branch starts with half of them.
        direct_channels: Channels of the direct box head's features; 0: the network has none.
        appearance_channels: Channels of the appearance head's features; 0: the network has none.

    Raises:
        ValueError: for a size of the wrong type or out of bounds.
    """

    backbone: BackboneConfig = field(default_factory=ResNetConfig)
    feature_channels: int = 512
    key_channels: int = 128
    filter_size: int = 4
    distance_bins: int = 100
    bin_width: float = 0.1
    iou_channels: int = 256
    direct_channels: int = 0
    appearance_channels: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.backbone, BackboneConfig):
            raise ValueError(f"backbone must be a BackboneConfig, got {type(self.backbone).__name__}")
        for name in ("feature_channels", "key_channels", "iou_channels"):
            check_whole(name, getattr(self, name), 1)
        check_whole("filter_size", self.filter_size, 1, MAX_FILTER_SIZE)
        check_whole("distance_bins", self.distance_bins, 2, MAX_DISTANCE_BINS)
        check_real("bin_width", self.bin_width, *BIN_WIDTH_RANGE)
        check_whole("direct_channels", self.direct_channels, 0)
        check_whole("appearance_channels", self.appearance_channels, 0)

    def to_json(self) -> str:
        """The configuration as one line of JSON, for the metadata of a weights file."""
        fields = dataclasses.asdict(self) | {"backbone": backbone_to_json(self.backbone)}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """Inverse of `to_json`.

        Raises:
            ValueError: if the text is not such a configuration, or names a kind of backbone that is not known.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            return cls(backbone=backbone_from_json(fields.pop("backbone")), **fields)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a network configuration: {text[:200]!r} ({error})") from error
