"""The target filter: applying it, its first guess, and its optimisation by steepest descent (DiMP, ICCV 2019).

Features are maps of tokens, (I, S, H, W, C): I images of each of S sequences. Filters are (S, C, K, K). A filter with
one output channel is a matrix product (C x K*K) followed by a shifted sum, and so is its transpose: both are far faster
that way than as a convolution.
"""

from __future__ import annotations

import functools
import itertools
from typing import NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.precise_roi_pooling import region_weights

MIN_REGULARIZATION = 1e-3
"""Lower bound of the learned filter regularisation, before it is squared."""


def score_size(feature_size: tuple[int, int], filter_size: int) -> tuple[int, int]:
    """Rows and columns of the score map: one more than the features for an even filter, the same for an odd one."""
    extra = 1 - filter_size % 2
    return feature_size[0] + extra, feature_size[1] + extra


def apply_filter(features: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Cross-correlate features with their sequence's filter (padding K // 2).

    Args:
        features: (I, S, H, W, C).
        filters: (S, C, K, K).

    Returns:
        Scores (I, S, H', W'), see `score_size`.
    """
    images, sequences, height, width, channels = (int(length) for length in features.shape)  # constants in a trace
    size = int(filters.shape[-1])
    taps = filters.flip(2, 3).flatten(2)  # (S, C, K*K), flipped: a token adds to the scores around it
    if sequences == 1 and features.device.type == "cpu" and not torch.jit.is_tracing():
        # The same product; oneDNN is 2.5 times as fast as the processor's matrix product at so few columns.
        maps = features[:, 0].permute(0, 3, 1, 2)  # (I, C, H, W)
        spread = functional.conv2d(maps, taps[0].T[..., None, None]).flatten(2)  # (I, K*K, L)
    else:
        tokens = features.transpose(0, 1).reshape(sequences, -1, channels)  # (S, I*L, C)
        spread = (tokens @ taps).view(sequences * images, height * width, size * size).transpose(1, 2)
    scores = _shifted_sum(spread, (height, width), size)
    return scores.view(sequences, images, *scores.shape[1:]).transpose(0, 1)


def _shifted_sum(spread: torch.Tensor, feature_size: tuple[int, int], filter_size: int) -> torch.Tensor:
    """Scores (N, H', W') of what each token adds to the K*K scores around it (N, K*K, L)."""
    output, padding = score_size(feature_size, filter_size), filter_size - 1 - filter_size // 2
    if not torch.jit.is_tracing():
        return functional.fold(spread, output, kernel_size=filter_size, padding=padding)[:, 0]
    # Engines add well, but fold slowly.
    maps = functional.pad(spread.unflatten(2, feature_size), (filter_size,) * 4)
    starts = [filter_size + padding - tap for tap in range(filter_size)]
    shifted = [
        maps[:, index, top : top + output[0], left : left + output[1]]
        for index, (top, left) in enumerate(itertools.product(starts, starts))
    ]
    return functools.reduce(torch.add, shifted)


def apply_filter_transpose(features: torch.Tensor, residuals: torch.Tensor, filter_size: int) -> torch.Tensor:
    """The transpose of `apply_filter` with respect to the filter, summed over each sequence's images.

    Args:
        features: (I, S, H, W, C).
        residuals: (I, S, H', W').
        filter_size: K.

    Returns:
        (S, C, K, K).
    """
    images, sequences, _, _, channels = features.shape
    columns = functional.unfold(
        residuals.reshape(images * sequences, 1, *residuals.shape[-2:]),
        kernel_size=filter_size,
        padding=filter_size - 1 - filter_size // 2,
    )  # (I*S, K*K, L)
    by_image = columns @ features.reshape(images * sequences, -1, channels)  # (I*S, K*K, C)
    taps = by_image.view(images, sequences, filter_size**2, channels).sum(dim=0).transpose(1, 2)  # (S, C, K*K)
    return taps.reshape(sequences, channels, filter_size, filter_size).flip(2, 3)


class FilterInitializer(nn.Module):
    """First guess of the filter: a convolution, then the mean over the images of the pooled target.

    Both are linear, so the map is pooled first, once for each cell of the convolution's window, and the convolution is
    left with K*K positions instead of H*W: a hundredth of the work.
    """

    def __init__(self, channels: int, filter_size: int) -> None:
        super().__init__()
        self.filter_size = filter_size
        self.filter_conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """Pool the targets.

        Args:
            features: (I, S, H, W, C).
            boxes: (I, S, 4) target boxes x, y, w, h in pixels of the network input.

        Returns:
            (S, C, K, K).
        """
        images, sequences, height, width, channels = features.shape
        size = self.filter_size
        corners = torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1).view(-1, 1, 4)
        rows, columns = (
            _in_window(weights[:, 0])  # (I*S, 3, K, H) and (I*S, 3, K, W)
            for weights in region_weights(corners, 1.0 / STRIDE, (size, size), (height, width))
        )
        maps = features.reshape(-1, height, width * channels)
        by_rows = rows.flatten(1, 2) @ maps  # (I*S, 3*K, W*C)
        pooled = columns.flatten(1, 2)[:, None] @ by_rows.view(-1, 3 * size, width, channels)  # (I*S, 3*K, 3*K, C)
        pooled = pooled.view(images, sequences, 3, size, 3, size, channels).mean(dim=0)
        # The middle of the window has the weights themselves: what the bias is counted with.
        covered = rows[:, 1].sum(dim=-1)[:, :, None] * columns[:, 1].sum(dim=-1)[:, None, :]  # (I*S, K, K)
        covered = covered.view(images, sequences, 1, size, size).mean(dim=0)
        bias = cast(torch.Tensor, self.filter_conv.bias)
        return torch.einsum("saibjc,ocab->soij", pooled, self.filter_conv.weight) + bias[:, None, None] * covered


def _in_window(weights: torch.Tensor) -> torch.Tensor:
    """Weights of a line of cells (N, K, H) -> the same for a 3-wide window's cell before, at and after (N, 3, K, H)."""
    padded = functional.pad(weights, (1, 1))
    length = weights.shape[-1]
    return torch.stack([padded[..., 2 - cell : 2 - cell + length] for cell in range(3)], dim=1)


class SampleMaps(NamedTuple):
    """What the optimiser knows of each training sample from its box alone; each (..., H', W').

    Attributes:
        label: The wanted scores, y.
        mask: 1 where the score must equal the label, 0 where only a higher one counts as an error, m.
        weight: Spatial weight of the error, v.
    """

    label: torch.Tensor
    mask: torch.Tensor
    weight: torch.Tensor


def activation(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(1 - m)/2 |s| + (1 + m)/2 s: the identity where m is 1, a ReLU where it is 0 (DiMP, equation 2)."""
    return (1.0 - mask) / 2.0 * scores.abs() + (1.0 + mask) / 2.0 * scores


def activation_derivative(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Derivative of `activation` with respect to the scores; sign(0) = 0."""
    return (1.0 - mask) / 2.0 * scores.sign() + (1.0 + mask) / 2.0


class FilterOptimizer(nn.Module):
    """Steepest descent with the Gauss-Newton step length (DiMP, section 3.2 and algorithm 1).

    Label, mask and weight are learned functions of the distance to the target's centre, piecewise linear between
    ``bins`` knots ``bin_width`` cells apart, constant beyond the last.
    """

    def __init__(self, bins: int, bin_width: float, filter_size: int) -> None:
        super().__init__()
        self.bins = bins
        self.bin_width = bin_width
        self.filter_size = filter_size
        self.log_step_length = nn.Parameter(torch.zeros(1))
        self.filter_reg = nn.Parameter(torch.full((1,), 0.1))
        self.label_map_predictor = nn.Conv2d(bins, 1, 1, bias=False)
        self.target_mask_predictor = nn.Sequential(nn.Conv2d(bins, 1, 1, bias=False), nn.Sigmoid())
        self.spatial_weight_predictor = nn.Conv2d(bins, 1, 1, bias=False)

    def target_centers(self, boxes: torch.Tensor) -> torch.Tensor:
        """Centres (row, column) in score cells (N, 2) of boxes x, y, w, h in network input pixels (N, 4)."""
        centers = (boxes[:, :2] + boxes[:, 2:] / 2) / STRIDE
        return centers.flip(1) - (self.filter_size % 2) / 2.0

    def distances(self, centers: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Distance (N, H', W') of every score cell to the centres (N, 2), in cells."""
        rows = torch.arange(size[0], device=centers.device, dtype=centers.dtype) - centers[:, 0:1]  # (N, H')
        columns = torch.arange(size[1], device=centers.device, dtype=centers.dtype) - centers[:, 1:2]  # (N, W')
        return torch.sqrt(rows[:, :, None] ** 2 + columns[:, None, :] ** 2)

    def interpolate(self, distances: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
        """Piecewise linear functions of the distance, constant beyond the last knot.

        It is what the original computes as triangular bin values times knots; of those all but two are zero.

        Args:
            distances: (N, H', W') cells.
            knots: (F, bins) values of F functions at distances of 0, 1, 2, ... ``bin_width``.

        Returns:
            (F, N, H', W').
        """
        position = (distances / self.bin_width).clamp_max(self.bins - 1)
        lower = position.floor().clamp_max(self.bins - 2)
        share = position - lower
        index = lower.long().flatten()
        shape = (len(knots), *distances.shape)
        below, above = (knots.index_select(1, which).view(shape) for which in (index, index + 1))
        return torch.lerp(below, above, share)

    def sample_maps(self, boxes: torch.Tensor, size: tuple[int, int]) -> SampleMaps:
        """Label, mask and weight for boxes x, y, w, h in network input pixels.

        Args:
            boxes: (..., 4).
            size: Rows and columns of the score map.

        Returns:
            Maps of shape (..., H', W').
        """
        distances = self.distances(self.target_centers(boxes.reshape(-1, 4)), size)
        predictors = self.label_map_predictor, self.target_mask_predictor[0], self.spatial_weight_predictor
        knots = torch.cat([cast(nn.Conv2d, predictor).weight.flatten(1) for predictor in predictors])  # (3, bins)
        label, mask, weight = self.interpolate(distances, knots).view(3, *boxes.shape[:-1], *size)
        return SampleMaps(label, torch.sigmoid(mask), weight)

    @property
    def regularization(self) -> torch.Tensor:
        """Weight (1,) of the squared filter in the loss."""
        return self.filter_reg.square().clamp_min(MIN_REGULARIZATION**2)

    def forward(
        self,
        filters: torch.Tensor,
        features: torch.Tensor,
        maps: SampleMaps,
        iterations: int,
        sample_weights: torch.Tensor | None = None,
    ) -> list[torch.Tensor]:
        """Improve the filters.

        Args:
            filters: The filters (S, C, K, K) to start from.
            features: (I, S, H, W, C) training samples.
            maps: The maps of the samples, each (I, S, H', W').
            iterations: Number of steps.
            sample_weights: (I, S); None gives every sample 1/I. A sample of weight 0 has no influence.

        Returns:
            The filters before the first and after each step: iterations + 1 tensors.
        """
        weight = self._error_weight(maps, sample_weights)
        regularization = self.regularization
        step_length = self.log_step_length.exp()
        iterates = [filters]
        scores = apply_filter(features, filters)
        for _ in range(iterations):
            slope = activation_derivative(scores, maps.mask)
            residuals = weight * (activation(scores, maps.mask) - maps.label)
            gradient = apply_filter_transpose(features, slope * weight * residuals, self.filter_size)
            gradient = gradient + regularization * filters
            score_change = apply_filter(features, gradient)
            change = weight * slope * score_change
            squared_gradient = gradient.square().sum(dim=(1, 2, 3))  # (S,)
            curvature = change.square().sum(dim=(0, 2, 3)) + regularization * squared_gradient
            step = step_length * squared_gradient / curvature.clamp_min(1e-8)
            filters = filters - step.view(-1, 1, 1, 1) * gradient
            # The scores are linear in the filter. Gradients through many such steps would lose digits.
            carried = not torch.is_grad_enabled()
            scores = scores - step.view(-1, 1, 1) * score_change if carried else apply_filter(features, filters)
            iterates.append(filters)
        return iterates

    def loss(
        self,
        filters: torch.Tensor,
        features: torch.Tensor,
        maps: SampleMaps,
        sample_weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """What the steps reduce: weighted squared residuals plus regularisation, per sequence; a scalar."""
        scores = apply_filter(features, filters)
        residuals = self._error_weight(maps, sample_weights) * (activation(scores, maps.mask) - maps.label)
        total = residuals.square().sum() + self.regularization * filters.square().sum()
        return total.squeeze() / filters.shape[0]

    @staticmethod
    def _error_weight(maps: SampleMaps, sample_weights: torch.Tensor | None) -> torch.Tensor:
        if sample_weights is None:
            return maps.weight / maps.weight.shape[0] ** 0.5
        return maps.weight * sample_weights.sqrt()[..., None, None]
