"""The box regressor's tail while tracking: scores of candidate boxes and their gradient, in closed form.

Precise RoI pooling needs integrals of the interpolated map over rectangles. They are differences of one function, the
integral from the map's corner to a point, at the corners of the bins: see `integral_maps`. So the cost does not depend
on the size of the box. Both levels of the feature pyramid are handled in the same few calls: a step spends its time on
calls, and on reading the linear layers' weights, rather than on arithmetic.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from trdimp_ros.models.box_regressor import CANDIDATE_POOL, BoxRegressor
from trdimp_ros.models.config import STRIDE, STRIDE_FINE
from trdimp_ros.models.integral_maps import POWERS_OF_T, TAPS, IntegralMaps, MapSummer

STRIDES = (STRIDE_FINE, STRIDE)

CORNERS = tuple((bins + 1) ** 2 for bins in CANDIDATE_POOL)
"""Bin corners of a box on each level; P of them on both."""


class BoxScorer:
    """Scores boxes for several targets at once.

    A target's modulation scales channels, and pooling is linear, so the maps are scaled once a frame. All targets then
    share the linear layers, whose weights are read once for all boxes of all targets.

    Args:
        regressor: The IoU predictor, in eval mode.
        max_targets: The number of targets that there is room for.
        dtype: The precision of the linear layers' products, which read more memory than all the rest.
    """

    def __init__(self, regressor: BoxRegressor, max_targets: int = 1, dtype: torch.dtype = torch.float32) -> None:
        weights, biases, per_area = [], [], []
        for block, bins, stride in zip((regressor.fc3_rt, regressor.fc4_rt), CANDIDATE_POOL, STRIDES, strict=True):
            weight, bias = (tensor.detach().float() for tensor in block.folded())
            weight = weight.view(len(bias), -1, bins**2).transpose(1, 2)  # (out, bins * bins, C)
            weights.append(weight.flatten(1).to(dtype))
            biases.append(bias)
            per_area.append(torch.full_like(bias, (bins * stride) ** 2))
        self._weights = weights  # (out, bins * bins * C) each
        self._bias = torch.cat(biases)
        # One over a bin's area in cells, for a box of one square pixel; for each output.
        self._per_area = torch.cat(per_area)
        self._output = regressor.iou_predictor.weight.detach().float()[0]
        self._output_bias = regressor.iou_predictor.bias.detach().float()
        device = self._bias.device
        channels = weights[0].shape[1] // CANDIDATE_POOL[0] ** 2
        self._modulation = torch.zeros(len(CANDIDATE_POOL), max_targets, channels, device=device)
        self._layout = _corner_layout(device)
        edges = [bins + 1 for bins in CANDIDATE_POOL]
        levels = [level for level, count in enumerate(edges) for _ in range(count)]
        # Every corner is asked for three values of the same entries.
        points = [point for point in _corner_points() for _ in range(3)]
        self._summer = MapSummer(max_targets, levels, points)

    def set_modulation(self, target: int, modulation: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Copy in the two modulation vectors (channels,) of one target."""
        for buffer, vector in zip(self._modulation, modulation, strict=True):
            buffer[target].copy_(vector)

    def copy_target(self, source: int, destination: int) -> None:
        """Use the modulation of the target at one index for another index too."""
        self._modulation[:, destination].copy_(self._modulation[:, source])

    def prepare(self, features: tuple[torch.Tensor, torch.Tensor], first: int = 0) -> IntegralMaps:
        """Sum up features; the result is good until the next call.

        Args:
            features: Two levels from `BoxRegressor.search_features`, one search area for each of T targets.
            first: The index of the first of these targets; the others follow it.
        """
        return self._summer(
            [
                feature.permute(0, 2, 3, 1) * vectors[first : first + len(feature), None, None]  # (T, H, W, C)
                for feature, vectors in zip(features, self._modulation, strict=True)
            ]
        )

    def score_and_gradient(self, maps: IntegralMaps, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score boxes on one frame.

        Args:
            maps: The frame's features as `prepare` returned them.
            boxes: (T, R, 4) float32 x, y, w, h in pixels of the network input.

        Returns:
            Scores (T, R) and their gradient (T, R, 4) with respect to x, y, w, h.
        """
        targets, count = boxes.shape[:2]
        corners = self._at_corners(maps, boxes.flatten(0, 1))  # (B, P, 3, C), B = T * R
        size = boxes[..., 2:]
        solid = (size > 0).all(dim=-1, keepdim=True)
        inverse_size = torch.where(solid, size, torch.inf).reciprocal()  # a box without area pools to zero
        inverse_area = inverse_size.prod(dim=-1, keepdim=True) * self._per_area  # (T, R, 2 * out), of a bin in cells

        products = [
            integral.flatten(1).to(weight.dtype) @ weight.T
            for integral, weight in zip(_over_bins(corners[:, :, 0]), self._weights, strict=True)
        ]
        # The mean over a bin is its integral over its area: divided by only after the linear layer.
        linear = torch.cat(products, dim=1).float().view(targets, count, -1) * inverse_area  # (T, R, 2 * out)
        hidden = torch.relu(linear + self._bias)
        score = hidden @ self._output + self._output_bias

        upstream = self._output * (hidden > 0)
        by_bin = [
            (part.to(weight.dtype) @ weight).float().view(len(part), bins, bins, -1)
            for part, weight, bins in zip(
                (upstream * inverse_area).flatten(0, 1).chunk(2, dim=1), self._weights, CANDIDATE_POOL, strict=True
            )
        ]
        # How the score changes as each corner moves down and to the right.
        moved = (corners[:, :, 1:] * _to_corners(by_bin)[:, :, None]).sum(-1)  # (B, P, 2)
        gradient = (moved.flatten(1) @ self._layout.to_boxes).view(boxes.shape)
        # A larger area lowers the mean.
        gradient[..., 2:] -= (upstream * linear).sum(dim=-1, keepdim=True) * inverse_size
        return score, gradient

    def _at_corners(self, maps: IntegralMaps, boxes: torch.Tensor) -> torch.Tensor:
        """At every bin corner of boxes (B, 4): the integral up to it, its derivatives by y and by x; (B, P, 3, C).

        The boxes are those of the first target, then of the second, and so on.
        """
        layout = self._layout
        # (B, 2, E): x and y of the bins' edges, in cells
        edges = torch.addcmul(boxes[:, :2, None] * layout.per_start, boxes[:, 2:, None], layout.per_size)
        # Unlike a clamp these leave no position that is not a number, which would be no entry of the table.
        inside = torch.fmin(torch.fmax(edges, layout.lowest), maps.lengths)
        cell = inside.floor()
        t = inside - cell
        constant_part, by_t, by_t_squared = layout.powers_of_t
        weights = torch.addcmul(torch.addcmul(constant_part, t[..., None], by_t), (t * t)[..., None], by_t_squared)
        weights = weights.view(len(boxes), 2, -1, TAPS)  # (B, 2, E * 2, 3): in the integral, in its derivative
        by_row = weights[:, 1].index_select(1, layout.row_weights)  # (B, P * 3, 3)
        by_column = weights[:, 0].index_select(1, layout.column_weights)
        weights = by_row[..., :, None] * by_column[..., None, :]  # (B, P * 3, 3, 3)

        entry = (cell * maps.steps).long()
        entry = entry[:, 1].index_select(1, layout.rows) + entry[:, 0].index_select(1, layout.columns)  # (B, P * 3)
        index = entry.view(len(maps.offsets), -1, entry.shape[1], 1) + maps.offsets[:, None]
        # Weighted sums of nine entries each, without a copy of the entries.
        at_corners = functional.embedding_bag(
            index.view(-1, TAPS**2), maps.table, per_sample_weights=weights.view(-1, TAPS**2), mode="sum"
        )
        return at_corners.view(len(boxes), sum(CORNERS), 3, -1)


def _over_bins(integrals: torch.Tensor) -> list[torch.Tensor]:
    """Integrals up to the corners (B, P, C) -> integrals over the bins, (B, bins, bins, C) on each level."""
    levels = []
    for part, bins in zip(integrals.split(CORNERS, dim=1), CANDIDATE_POOL, strict=True):
        grid = part.unflatten(1, (bins + 1, bins + 1))
        rows = grid[:, 1:] - grid[:, :-1]
        levels.append(rows[:, :, 1:] - rows[:, :, :-1])
    return levels


def _to_corners(by_bin: list[torch.Tensor]) -> torch.Tensor:
    """The transpose of `_over_bins`: (B, bins, bins, C) on each level -> (B, P, C)."""
    levels = []
    for part in by_bin:
        grid = functional.pad(part, (0, 0, 1, 1, 1, 1))
        rows = grid[:, :-1] - grid[:, 1:]
        levels.append((rows[:, :, :-1] - rows[:, :, 1:]).flatten(1, 2))
    return torch.cat(levels, dim=1)


class _CornerLayout(NamedTuple):
    """Constants of the E bin edges (along each axis) and the P bin corners of both levels.

    Attributes:
        per_start: (E,) how the position of an edge, in cells, grows with the box's corner.
        per_size: (E,) how it grows with the box's size.
        rows: (P * 3,) edge of rows that a corner lies on, for the integral and its derivatives by y and by x.
        columns: (P * 3,) edge of columns that a corner lies on, for the same three.
        row_weights: (P * 3,) which of the E * 2 weights (of the integral, of its derivative) applies along y.
        column_weights: (P * 3,) which of them applies along x.
        powers_of_t: (3, 6), see `POWERS_OF_T`.
        to_boxes: (P * 2, 4) how corners move, down and to the right, with x, y, w, h.
        lowest: () position, in cells, below which maps are zero.
    """

    per_start: torch.Tensor
    per_size: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor
    row_weights: torch.Tensor
    column_weights: torch.Tensor
    powers_of_t: torch.Tensor
    to_boxes: torch.Tensor
    lowest: torch.Tensor


def _corner_points() -> list[tuple[int, int]]:
    """The edges of rows and of columns that each bin corner lies on, both levels."""
    points, first = [], 0
    for bins in CANDIDATE_POOL:
        edges = range(first, first + bins + 1)
        points += [(row, column) for row in edges for column in edges]
        first += bins + 1
    return points


def _corner_layout(device: torch.device) -> _CornerLayout:
    per_start, per_size = [], []
    for bins, stride in zip(CANDIDATE_POOL, STRIDES, strict=True):
        per_start += [1.0 / stride] * (bins + 1)
        per_size += [edge / (bins * stride) for edge in range(bins + 1)]
    starts, sizes = torch.tensor(per_start), torch.tensor(per_size)
    rows, columns = torch.tensor(_corner_points()).T  # (P,) each
    zero = torch.zeros_like(starts[rows])
    down = torch.stack([zero, starts[rows], zero, sizes[rows]], dim=1)
    right = torch.stack([starts[columns], zero, sizes[columns], zero], dim=1)
    layout = _CornerLayout(
        per_start=starts,
        per_size=sizes,
        rows=rows.repeat_interleave(3),
        columns=columns.repeat_interleave(3),
        row_weights=(2 * rows[:, None] + torch.tensor([0, 1, 0])).flatten(),
        column_weights=(2 * columns[:, None] + torch.tensor([0, 0, 1])).flatten(),
        powers_of_t=torch.tensor(POWERS_OF_T),
        to_boxes=torch.stack([down, right], dim=1).flatten(0, 1),
        lowest=torch.tensor(-1.0),
    )
    return _CornerLayout(*(values.to(device) for values in layout))
