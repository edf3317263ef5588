"""The residual backbone (He et al., CVPR 2016) with taps at strides 8 and 16."""

from __future__ import annotations

import torch
from torch import nn

from trdimp_ros.models.config import BackboneConfig
from trdimp_ros.models.constants import constant

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def normalize_image(image: torch.Tensor) -> torch.Tensor:
    """Turn RGB values of 0..255 into the backbone's input (ImageNet mean 0 and variance 1).

    Args:
        image: (N, 3, H, W) float, 0..255.
    """
    mean, std = (constant(values, image.device, image.dtype).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return (image / 255.0 - mean) / std


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


class ResNet(nn.Module):
    """Backbone whose ``forward`` stops at the third stage.

    Module names are those of the official checkpoint (``conv1``, ``bn1``, ``layer1`` ... ``layer4``, ``fc``).
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
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

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the two features that the tracker uses.

        Args:
            image: (N, 3, S, S) normalised RGB, see `normalize_image`.

        Returns:
            The stride-8 feature (N, fine_channels, S/8, S/8) and the stride-16 feature
            (N, coarse_channels, S/16, S/16).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        fine = self.layer2(self.layer1(x))
        return fine, self.layer3(fine)
