"""A box in one pass: from every cell of the search area, the distances to the target's sides, and the box's quality.

The design is that of anchor-free detectors and trackers (FCOS, ICCV 2019; SiamFC++, AAAI 2020). The target is given by
a reference frame in two ways: gains on the channels, and the likeness of each cell to each part of the target
(pixel-wise correlation; Alpha-Refine, CVPR 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models.config import STRIDE_FINE
from trdimp_ros.models.norm import at_least_float32
from trdimp_ros.models.precise_roi_pooling import precise_roi_pool

PART_BINS = 4
"""The reference box is divided into so many parts along each side."""

BEFORE, BELOW, AFTER = 2, 3, 1
"""Layers at stride 8, then at stride 16 (where the other end of a large target is near), then at stride 8 again."""

UNIT = 24.0
"""Pixels of the network input that a raw distance of zero stands for: about half the side of a target."""

LARGEST_LOG = 3.0
"""Bound of raw distances: sides between one and 480 pixels away."""


class BoxReference(NamedTuple):
    """What a reference frame says of N targets.

    Attributes:
        gains: (N, C) factors on the channels of the search feature.
        parts: (N, 16, C) unit vectors of the parts of the target.
    """

    gains: torch.Tensor
    parts: torch.Tensor


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 convolution, batch norm, ReLU, 1x1 convolution, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )


class Tower(nn.Module):
    """Layers at stride 8 round others at stride 16."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.below, self.after = (
            nn.Sequential(*(SeparableConv(channels) for _ in range(depth))) for depth in (BEFORE, BELOW, AFTER)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> the same shape; H and W are even."""
        x = self.before(x)
        wide = functional.interpolate(self.below(functional.avg_pool2d(x, 2)), scale_factor=2.0, mode="nearest")
        return self.after(x + wide)


class DirectBoxHead(nn.Module):
    """Predicts a box and its quality at every stride-8 cell.

    Args:
        fine_channels: Channels of the stride-8 backbone feature.
        coarse_channels: Channels of the stride-16 backbone feature.
        channels: Channels C of the head's own features.
    """

    def __init__(self, fine_channels: int, coarse_channels: int, channels: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(fine_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.coarse = nn.Sequential(nn.Conv2d(coarse_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.merged = SeparableConv(channels)
        self.likeness = nn.Conv2d(channels, channels, 1)
        self.gains = nn.Linear(channels * PART_BINS**2, channels)
        self.mixed = nn.Sequential(
            nn.Conv2d(channels + PART_BINS**2, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.tower = Tower(channels)
        self.output = nn.Conv2d(channels, 5, 1)
        self.reference_shapes = ((channels,), (PART_BINS**2, channels))

    def search_feature(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """The feature (N, C, H/8, W/8) that the target is looked for in.

        Args:
            fine: (N, fine_channels, H/8, W/8) backbone feature.
            coarse: (N, coarse_channels, H/16, W/16) backbone feature.
        """
        enlarged = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest")
        return self.merged(torch.relu(self.fine(fine) + enlarged))

    def reference(self, feature: torch.Tensor, boxes: torch.Tensor) -> BoxReference:
        """What reference frames say of their targets.

        Args:
            feature: (N, C, H/8, W/8) from `search_feature`.
            boxes: (N, 4) float32 x, y, w, h of the targets in pixels of the network input.
        """
        corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)[:, None]
        bins = (PART_BINS, PART_BINS)
        pooled = precise_roi_pool(at_least_float32(feature), corners, 1 / STRIDE_FINE, bins)[:, 0].to(feature.dtype)
        gains = 1.0 + self.gains(pooled.flatten(1).to(self.gains.weight.dtype))
        parts = at_least_float32(self.likeness(pooled)).flatten(2).transpose(1, 2)  # (N, 16, C)
        return BoxReference(at_least_float32(gains), functional.normalize(parts, dim=2))

    def forward(self, reference: BoxReference, feature: torch.Tensor) -> torch.Tensor:
        """Look for targets in search areas.

        Args:
            reference: What `reference` found out about each of N targets.
            feature: (N, C, H/8, W/8) from `search_feature`.

        Returns:
            (N, 5, H/8, W/8): the raw distances to the left, upper, right and lower side, and the logit of the box's
            overlap with the target. See `decode_boxes`.
        """
        cells = at_least_float32(self.likeness(feature)).flatten(2)  # (N, C, L)
        likeness = (reference.parts @ functional.normalize(cells, dim=1)).unflatten(2, feature.shape[2:])
        gained = feature * reference.gains[..., None, None].to(feature.dtype)
        mixed = self.mixed(torch.cat([gained, likeness.to(feature.dtype)], dim=1))
        return at_least_float32(self.output(self.tower(mixed)))


def require_direct_box_head(head: DirectBoxHead | None) -> DirectBoxHead:
    """The direct box head of a network that is asked for one.

    Raises:
        ValueError: if the network has none.
    """
    if head is None:
        raise ValueError("box_method 'direct' needs weights with a direct box head; these have none: use iou")
    return head


def cell_centers(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Centres x, y of stride-8 cells in pixels of the network input, counted from its upper left corner; (2, H, W)."""
    rows, columns = ((torch.arange(cells, device=device) + 0.5) * STRIDE_FINE for cells in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def decode_boxes(raw: torch.Tensor) -> torch.Tensor:
    """The boxes x, y, w, h (N, 4, H, W), in pixels of the network input, of an output (N, 5, H, W) of the head."""
    distances = UNIT * raw[:, :4].clamp(-LARGEST_LOG, LARGEST_LOG).exp()
    corner = cell_centers((raw.shape[2], raw.shape[3]), raw.device) - distances[:, :2]
    return torch.cat([corner, distances[:, :2] + distances[:, 2:]], dim=1)
