"""The IoU predictor (ATOM, CVPR 2019, section 3.1): how well does a box fit the target seen in a reference frame?"""

from __future__ import annotations

import torch
from torch import nn

from trdimp_ros.models.config import STRIDE, STRIDE_FINE
from trdimp_ros.models.norm import at_least_float32
from trdimp_ros.models.precise_roi_pooling import precise_roi_pool

REFERENCE_POOL = (3, 1)
"""Bins per side of the reference box, in the fine and the coarse feature."""

CANDIDATE_POOL = (5, 3)
"""Bins per side of a candidate box, in the fine and the coarse feature."""


def conv_block(in_channels: int, out_channels: int, kernel_size: int = 3, padding: int = 1) -> nn.Sequential:
    """Convolution with bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class LinearBlock(nn.Module):
    """Fully connected layer over a pooled box (C, bins, bins), batch norm, ReLU."""

    def __init__(self, channels: int, bins: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * bins * bins, out_channels)
        self.bn = nn.BatchNorm1d(out_channels)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """(N, C, bins, bins) -> (N, out)."""
        return torch.relu(self.bn(self.linear(pooled.flatten(1))))

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (out, C, bins*bins) and bias (out,) with the batch norm's running statistics folded in."""
        assert self.bn.running_mean is not None and self.bn.running_var is not None
        factor = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        weight = self.linear.weight * factor[:, None]
        bias = (self.linear.bias - self.bn.running_mean) * factor + self.bn.bias
        return weight.view(weight.shape[0], -1), bias


class BoxRegressor(nn.Module):
    """Predicts the overlap of candidate boxes with the target.

    The reference frame gives two modulation vectors; they scale the channels of the search frame's features, which are
    pooled over each candidate box and mapped to one number.

    Args:
        fine_channels: Channels of the stride-8 backbone feature.
        coarse_channels: Channels of the stride-16 backbone feature.
        channels: Channels of the predictor's own features.
    """

    def __init__(self, fine_channels: int, coarse_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv3_1r = conv_block(fine_channels, half)
        self.conv3_1t = conv_block(fine_channels, channels)
        self.conv3_2t = conv_block(channels, channels)
        self.fc3_1r = conv_block(half, channels, REFERENCE_POOL[0], padding=0)
        self.conv4_1r = conv_block(coarse_channels, channels)
        self.conv4_1t = conv_block(coarse_channels, channels)
        self.conv4_2t = conv_block(channels, channels)
        self.fc34_3r = conv_block(2 * channels, channels, 1, padding=0)
        self.fc34_4r = conv_block(2 * channels, channels, 1, padding=0)
        self.fc3_rt = LinearBlock(channels, CANDIDATE_POOL[0], channels)
        self.fc4_rt = LinearBlock(channels, CANDIDATE_POOL[1], channels)
        self.iou_predictor = nn.Linear(2 * channels, 1)

    def modulation(
        self, fine: torch.Tensor, coarse: torch.Tensor, boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the reference frames say of the target.

        Args:
            fine: (N, C, H, W) stride-8 backbone features.
            coarse: (N, C', H/2, W/2) stride-16 features.
            boxes: (N, 4) reference boxes x, y, w, h in pixels of the network input.

        Returns:
            Two tensors (N, channels), for the fine and for the coarse feature.
        """
        corners = _corners(boxes)[:, None]
        pool_fine, pool_coarse = ((bins, bins) for bins in REFERENCE_POOL)
        map_fine, map_coarse = at_least_float32(self.conv3_1r(fine)), at_least_float32(self.conv4_1r(coarse))
        pooled_fine = precise_roi_pool(map_fine, corners, 1 / STRIDE_FINE, pool_fine)[:, 0].to(fine.dtype)
        pooled_coarse = precise_roi_pool(map_coarse, corners, 1 / STRIDE, pool_coarse)[:, 0].to(fine.dtype)
        joined = torch.cat([self.fc3_1r(pooled_fine), pooled_coarse], dim=1)  # (N, 2 * channels, 1, 1)
        return self.fc34_3r(joined).flatten(1), self.fc34_4r(joined).flatten(1)

    def search_features(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, channels, H, W) and (N, channels, H/2, W/2) of the search frame, not yet modulated."""
        return self.conv3_2t(self.conv3_1t(fine)), self.conv4_2t(self.conv4_1t(coarse))

    def forward(
        self,
        modulation: tuple[torch.Tensor, torch.Tensor],
        features: tuple[torch.Tensor, torch.Tensor],
        boxes: torch.Tensor,
    ) -> torch.Tensor:
        """Score candidate boxes; differentiable by autograd, for training.

        Args:
            modulation: Two tensors (N, channels) from `modulation`.
            features: Two features of each of N images, from `search_features`.
            boxes: (N, R, 4) candidates x, y, w, h in pixels of the network input.

        Returns:
            (N, R) scores.
        """
        hidden = []
        corners = _corners(boxes)
        for vector, feature, bins, stride, block in zip(
            modulation, features, CANDIDATE_POOL, (STRIDE_FINE, STRIDE), (self.fc3_rt, self.fc4_rt), strict=True
        ):
            modulated = feature * vector[..., None, None]
            pooled = precise_roi_pool(modulated, corners, 1 / stride, (bins, bins))  # (N, R, C, bins, bins)
            hidden.append(block(pooled.flatten(0, 1)))
        return self.iou_predictor(torch.cat(hidden, dim=1)).view(boxes.shape[:2])


def _corners(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) x, y, w, h -> x0, y0, x1, y1."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)
