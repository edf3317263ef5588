"""The IoU predictor (ATOM, CVPR 2019, section 3.1): how well does a box fit the target seen in a reference frame?"""

from __future__ import annotations

import torch
from torch import nn

from trdimp_ros.models.config import STRIDE, STRIDE_FINE
from trdimp_ros.models.norm import at_least_float32
from trdimp_ros.models.precise_roi_pooling import (
    bin_weight_gradients,
    bin_weights,
    precise_roi_pool,
)

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
            features: From `search_features`.
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


class BoxScorer:
    """The predictor's tail for one target, with scores and their gradient in closed form and no autograd graph.

    The modulation scales channels before a linear layer, so it is folded into that layer's weights, with the batch
    norm, once per target.

    Args:
        regressor: In eval mode.
        modulation: Two vectors (channels,) of the target.
    """

    def __init__(self, regressor: BoxRegressor, modulation: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._levels = []
        output = regressor.iou_predictor.weight.detach().float()[0]
        for index, (vector, block) in enumerate(zip(modulation, (regressor.fc3_rt, regressor.fc4_rt), strict=True)):
            weight, bias = (tensor.detach().float() for tensor in block.folded())
            bins = CANDIDATE_POOL[index]
            weight = weight.view(len(bias), -1, bins, bins) * vector.float().view(1, -1, 1, 1)
            weight = weight.permute(0, 2, 3, 1).flatten(1).contiguous()  # (out, bins * bins * C): as pooled below
            self._levels.append((bins, weight, bias, output.chunk(2)[index].contiguous()))
        self._output_bias = regressor.iou_predictor.bias.detach().float()

    def score_and_gradient(
        self, features: tuple[torch.Tensor, torch.Tensor], boxes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Score boxes on one frame.

        Args:
            features: Of one frame, from `BoxRegressor.search_features`, batch size 1.
            boxes: (R, 4) float32 x, y, w, h in pixels of the network input.

        Returns:
            Scores (R,) and their gradient (R, 4) with respect to x, y, w, h.
        """
        score = self._output_bias.expand(len(boxes))
        gradient = torch.zeros_like(boxes)
        for (bins, weight, bias, output), feature, stride in zip(
            self._levels, features, (STRIDE_FINE, STRIDE), strict=True
        ):
            pooling = _PooledBoxes(feature, boxes, bins, stride)
            hidden = torch.relu(torch.addmm(bias, pooling.pooled, weight.T))  # (R, out)
            score = score + hidden @ output
            by_pooled = (output * (hidden > 0)) @ weight  # (R, bins * bins * C)
            gradient = gradient + pooling.box_gradient(by_pooled)
        return score, gradient


class _PooledBoxes:
    """Precise RoI pooling of several boxes on one map, keeping what the closed-form gradient needs.

    The map is (1, C, H, W); it is used as (H, W, C), which costs nothing in channels_last format.
    """

    def __init__(self, feature: torch.Tensor, boxes: torch.Tensor, bins: int, stride: int) -> None:
        self._map = feature[0].permute(1, 2, 0)  # (H, W, C)
        height, width, channels = self._map.shape
        self._stride = stride
        self._bins = bins
        self._edges = _corners(boxes / stride).T  # (4, R): x0, y0, x1, y1
        x0, y0, x1, y1 = self._edges
        # A box without area in one direction pools to zero in both.
        self._solid = ((x1 > x0) & (y1 > y0)).to(boxes.dtype)[:, None, None]
        self._rows = bin_weights(y0, y1, bins, height) * self._solid  # (R, bins, H)
        self._columns = bin_weights(x0, x1, bins, width)  # (R, bins, W)
        dtype = feature.dtype
        flat_map = self._map.reshape(height, width * channels)
        lines = self._rows.to(dtype).flatten(0, 1) @ flat_map  # (R * bins, W * C)
        self._lines = lines.view(-1, bins, width, channels)
        pooled = self._columns.to(dtype)[:, None] @ self._lines  # (R, bins, bins, C)
        self.pooled = pooled.flatten(1).float()

    def box_gradient(self, by_pooled: torch.Tensor) -> torch.Tensor:
        """Gradient (R, 4) with respect to x, y, w, h, given that with respect to `pooled` (R, bins * bins * C)."""
        height, width, channels = self._map.shape
        bins = self._bins
        upstream = by_pooled.view(-1, bins, bins, channels).to(self._map.dtype)
        # (R, row bin, column bin, W), summed over the row bins: how the score depends on the column weights
        by_columns = (upstream @ self._lines.transpose(2, 3)).sum(dim=1).float()  # (R, bins, W)
        spread = self._columns.to(self._map.dtype).transpose(1, 2)[:, None] @ upstream  # (R, bins, W, C)
        by_rows = spread.reshape(-1, width * channels) @ self._map.reshape(height, -1).T  # (R * bins, H)
        by_rows = by_rows.view(-1, bins, height).float() * self._solid
        x0, y0, x1, y1 = self._edges
        gradients = []
        for start, end, weights, upstream_weights in (
            (x0, x1, self._columns, by_columns),
            (y0, y1, self._rows, by_rows),
        ):
            by_start, by_end = bin_weight_gradients(start, end, weights)
            gradients.append(
                (
                    (by_start * upstream_weights).sum(dim=(1, 2)),
                    (by_end * upstream_weights).sum(dim=(1, 2)),
                )
            )
        (by_x0, by_x1), (by_y0, by_y1) = gradients
        # x0 = x and x1 = x + w: x moves both edges, w only the second.
        return torch.stack([by_x0 + by_x1, by_y0 + by_y1, by_x1, by_y1], dim=1) / self._stride


def _corners(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) x, y, w, h -> x0, y0, x1, y1."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)
