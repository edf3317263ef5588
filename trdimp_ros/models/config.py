"""Sizes of the network, as two dataclasses that can be stored beside the weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

STRIDE_FINE = 8
"""Image pixels per cell of the finer backbone feature (``layer2``)."""

STRIDE = 16
"""Image pixels per cell of the coarser backbone feature (``layer3``), which the classifier works on."""


@dataclass(frozen=True)
class BackboneConfig:
    """A residual network whose second and third stage (strides 8 and 16) feed the tracker.

    Attributes:
        block: ``bottleneck`` (1x1, 3x3, 1x1; output four times the stage width) or ``basic`` (two 3x3).
        stem_width: Channels of the 7x7 stem convolution.
        stage_widths: Channels inside the blocks of each stage; at least three stages.
        stage_depths: Number of blocks of each stage.
        classes: Outputs of the image classification layer ``fc``, 0 for none. The tracker never uses it, nor a
            fourth stage; the official checkpoint holds both, so its architecture has them too.
    """

    block: Literal["bottleneck", "basic"] = "bottleneck"
    stem_width: int = 64
    stage_widths: tuple[int, ...] = (64, 128, 256, 512)
    stage_depths: tuple[int, ...] = (3, 4, 6, 3)
    classes: int = 1000

    def __post_init__(self) -> None:
        if self.block not in ("bottleneck", "basic"):
            raise ValueError(f"backbone block must be 'bottleneck' or 'basic', got {self.block!r}")
        if len(self.stage_widths) < 3 or len(self.stage_widths) != len(self.stage_depths):
            raise ValueError(
                "a backbone needs at least three stages with one width and one depth each, got widths "
                f"{self.stage_widths} and depths {self.stage_depths}"
            )
        if min((self.stem_width, *self.stage_widths, *self.stage_depths)) < 1 or self.classes < 0:
            raise ValueError(f"backbone widths and depths must be positive, got {self}")

    @property
    def expansion(self) -> int:
        """Output channels of a block divided by its stage's width."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def fine_channels(self) -> int:
        """Channels of the stride-8 feature."""
        return self.stage_widths[1] * self.expansion

    @property
    def coarse_channels(self) -> int:
        """Channels of the stride-16 feature."""
        return self.stage_widths[2] * self.expansion


@dataclass(frozen=True)
class NetworkConfig:
    """All sizes of a TrDiMP network. The defaults are those of the official ResNet-50 checkpoint.

    Attributes:
        backbone: The feature extractor.
        feature_channels: Channels of the classification feature, the transformer and the target filter.
        key_channels: Channels of the attention keys.
        filter_size: Side of the target filter in feature cells.
        distance_bins: Number of bins of the filter optimiser's learned radial functions.
        bin_width: Width of one such bin in feature cells.
        iou_channels: Channels of the IoU predictor's features; its reference branch starts with half of them.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    feature_channels: int = 512
    key_channels: int = 128
    filter_size: int = 4
    distance_bins: int = 100
    bin_width: float = 0.1
    iou_channels: int = 256

    def __post_init__(self) -> None:
        least = {"feature_channels": 1, "key_channels": 1, "filter_size": 1, "distance_bins": 2, "iou_channels": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be at least {value}, got {getattr(self, name)}")
        if not self.bin_width > 0:
            raise ValueError(f"bin_width must be positive, got {self.bin_width}")

    def to_json(self) -> str:
        """The configuration as one line of JSON, for the metadata of a weights file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """Inverse of `to_json`.

        Raises:
            ValueError: if the text is not such a configuration.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            backbone = fields.pop("backbone")
            for name in ("stage_widths", "stage_depths"):
                backbone[name] = tuple(backbone[name])
            return cls(backbone=BackboneConfig(**backbone), **fields)
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a network configuration: {text[:200]!r} ({error})") from error
