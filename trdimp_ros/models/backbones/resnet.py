"""The residual backbone (He et al., CVPR 2016) with taps at strides 8 and 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from trdimp_ros.models.backbones.base import Backbone, BackboneConfig
from trdimp_ros.models.constants import constant
from trdimp_ros.models.folding import fold_pair, fold_sequences
from trdimp_ros.models.sizes import check_whole

MAX_STAGES = 8
MAX_DEPTH = 100
"""Blocks of a stage; a ResNet-152 has 36 in its third."""

MAX_CLASSES = 100_000

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ResNetConfig(BackboneConfig):
    """A residual network whose second and third stage (strides 8 and 16) feed the tracker; by default a ResNet-50.

    Attributes:
        block: ``bottleneck`` (1x1, 3x3, 1x1; output four times the stage width) or ``basic`` (two 3x3).
        stem_width: Channels of the 7x7 stem convolution.
        stage_widths: Channels inside the blocks of each stage; at least three stages.
        stage_depths: Number of blocks of each stage.
        classes: Outputs of the image classification layer ``fc``, 0 for none. The tracker never uses it, nor a
            fourth stage; the official checkpoint holds both, so its architecture has them too.

    Raises:
        ValueError: for a size of the wrong type or out of bounds.
    """

    kind: ClassVar[str] = "resnet"
    block: Literal["bottleneck", "basic"] = "bottleneck"
    stem_width: int = 64
    stage_widths: tuple[int, ...] = (64, 128, 256, 512)
    stage_depths: tuple[int, ...] = (3, 4, 6, 3)
    classes: int = 1000

    def __post_init__(self) -> None:
        if self.block not in ("bottleneck", "basic"):
            raise ValueError(f"backbone block must be 'bottleneck' or 'basic', got {self.block!r}")
        if not (isinstance(self.stage_widths, tuple) and isinstance(self.stage_depths, tuple)):
            raise ValueError("stage_widths and stage_depths must be tuples")
        if not 3 <= len(self.stage_widths) == len(self.stage_depths) <= MAX_STAGES:
            raise ValueError(
                f"a backbone needs three to {MAX_STAGES} stages with one width and one depth each, got widths "
                f"{self.stage_widths} and depths {self.stage_depths}"
            )
        check_whole("stem_width", self.stem_width, 1)
        for width, depth in zip(self.stage_widths, self.stage_depths, strict=True):
            check_whole("each of stage_widths", width, 1)
            check_whole("each of stage_depths", depth, 1, MAX_DEPTH)
        check_whole("classes", self.classes, 0, MAX_CLASSES)

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


class Bottleneck(nn.Module):
    """1x1 reduction, 3x3 (which carries the stride), 1x1 expansion by four, and the shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * 4
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3: nn.Module = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut: the block of small networks."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class ResNet(Backbone):
    """Backbone whose ``forward`` stops at the third stage.

    Module names are those of the official checkpoint (``conv1``, ``bn1``, ``layer1`` ... ``layer4``, ``fc``).
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.fine_channels, self.coarse_channels = config.fine_channels, config.coarse_channels
        block = Bottleneck if config.block == "bottleneck" else BasicBlock
        self.conv1 = nn.Conv2d(3, config.stem_width, 7, stride=2, padding=3, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(config.stem_width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        channels = config.stem_width
        self.layer1: nn.Module
        self.layer2: nn.Module
        self.layer3: nn.Module
        for number, (width, depth) in enumerate(zip(config.stage_widths, config.stage_depths, strict=True), start=1):
            blocks = []
            for index in range(depth):
                stride = 2 if index == 0 and number > 1 else 1
                blocks.append(block(channels, width, stride))
                channels = width * config.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        if config.classes:
            self.fc = nn.Linear(channels, config.classes)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """Scale RGB values of 0..255 to ImageNet's mean 0 and variance 1."""
        mean, std = (constant(values, image.device, image.dtype).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
        return (image / 255.0 - mean) / std

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features after the second stage (stride 8) and after the third (stride 16), see `Backbone.forward`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        fine = self.layer2(self.layer1(x))
        return fine, self.layer3(fine)

    def prepare_for_inference(self) -> None:
        """Drop all that comes after the third stage, and fold the rest."""
        for name, _ in list(self.named_children()):
            if name not in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
                delattr(self, name)
        for module in self.modules():
            if isinstance(module, (ResNet, Bottleneck, BasicBlock)):
                for number in (1, 2, 3):
                    fold_pair(module, f"conv{number}", f"bn{number}")
        fold_sequences(self)

    def residual_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch norm of every block."""
        last = [
            block.bn3 if isinstance(block, Bottleneck) else block.bn2
            for block in self.modules()
            if isinstance(block, (Bottleneck, BasicBlock))
        ]
        return [norm for norm in last if isinstance(norm, nn.BatchNorm2d)]
