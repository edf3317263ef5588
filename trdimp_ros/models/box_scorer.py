"""The box regressor's tail while tracking: scores of candidate boxes and their gradient, in closed form.

Precise RoI pooling needs integrals of the interpolated map over rectangles. They are differences of one function, the
integral from the map's corner to a point, at the corners of the bins. The integral of a hat function is quadratic
within a cell, so along one axis, with k = floor(y) and t = y - k::

    integral up to y = Q[k] + f[k] (t - t^2/2) + f[k + 1] t^2/2,    Q[k] = f[0] + ... + f[k - 1] + f[k]/2

and its derivative is the interpolated value f[k] (1 - t) + f[k + 1] t. So each corner needs 3 x 3 entries of maps that
are summed up once a frame, however large the box. Both levels of the feature pyramid are handled in the same few calls:
the cost of a step is that of calls rather than of arithmetic.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch.nn import functional

from trdimp_ros.models.box_regressor import CANDIDATE_POOL, BoxRegressor
from trdimp_ros.models.config import STRIDE, STRIDE_FINE

TAPS = 3
"""Entries along one axis that a corner needs: the sum up to its cell, that cell, and the next one."""


class IntegralMaps(NamedTuple):
    """What `BoxScorer.prepare` makes of the features of the targets' search areas.

    Attributes:
        entries: (T, M, C) float32: for each of T targets both levels' maps with their running sums, flattened.
        lengths: (2, E) float32 cells along x and y of the map that each of the E bin edges lies on.
        strides: (2, E) int64 entries from one cell to the next along x and y.
        origin: (2, E) int64 first entry of the map, in the row of y; 0 in that of x.
    """

    entries: torch.Tensor
    lengths: torch.Tensor
    strides: torch.Tensor
    origin: torch.Tensor


class BoxScorer:
    """Scores boxes for several targets at once.

    A target's modulation scales channels before a linear layer, so it is folded into that layer's weights, with the
    batch norm, once per target.

    Args:
        regressor: In eval mode.
        max_targets: Most targets to score for.
        dtype: Of the linear layers' products, which read more memory than all the rest.
    """

    def __init__(self, regressor: BoxRegressor, max_targets: int = 1, dtype: torch.dtype = torch.float32) -> None:
        plain, biases = [], []
        for block, bins in zip((regressor.fc3_rt, regressor.fc4_rt), CANDIDATE_POOL, strict=True):
            weight, bias = (tensor.detach().float() for tensor in block.folded())
            plain.append(weight.view(len(bias), -1, bins**2))  # (out, C, bins * bins)
            biases.append(bias)
        self._plain = plain
        self._bias = torch.cat(biases)
        self._output = regressor.iou_predictor.weight.detach().float()[0]
        self._output_bias = regressor.iou_predictor.bias.detach().float()
        device = self._bias.device
        self._weights = [
            torch.zeros(max_targets, one[0].numel(), len(one), device=device, dtype=dtype) for one in plain
        ]  # (T, bins * bins * C, out)
        self._layout = _bin_layout(device)

    def set_modulation(self, target: int, modulation: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Take the two modulation vectors (channels,) of one target; buffers keep their place in memory."""
        for buffer, plain, vector in zip(self._weights, self._plain, modulation, strict=True):
            buffer[target].copy_((plain * vector.float()[:, None]).permute(2, 1, 0).flatten(0, 1))

    def copy_target(self, source: int, destination: int) -> None:
        """Score for the target in one place from another one too."""
        for buffer in self._weights:
            buffer[destination].copy_(buffer[source])

    def prepare(self, features: tuple[torch.Tensor, torch.Tensor]) -> IntegralMaps:
        """Sum up features from `BoxRegressor.search_features`, one search area for each of the first T targets."""
        maps = [feature.permute(0, 2, 3, 1).float() for feature in features]  # (T, H, W, C)
        entries = torch.cat([with_running_sums(one).flatten(1, 2) for one in maps], dim=1)
        sizes = tuple((one.shape[1], one.shape[2]) for one in maps)
        return IntegralMaps(entries, *_places_of_edges(sizes, entries.device))

    def score_and_gradient(self, maps: IntegralMaps, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score boxes on one frame.

        Args:
            maps: From `prepare`.
            boxes: (T, R, 4) float32 x, y, w, h in pixels of the network input.

        Returns:
            Scores (T, R) and their gradient (T, R, 4) with respect to x, y, w, h.
        """
        layout, channels = self._layout, maps.entries.shape[-1]
        targets, count = boxes.shape[:2]
        weights = [buffer[:targets] for buffer in self._weights]
        boxes = boxes.flatten(0, 1)  # (B, 4), B = T * R
        corners = self._at_corners(maps, boxes)  # (B, P, 3, C)
        # A box without area pools to zero.
        size = boxes[:, 2:]
        solid = (size > 0).all(dim=1, keepdim=True)
        inverse_size = torch.where(solid, 1.0 / torch.where(solid, size, 1.0), 0.0)  # (B, 2)
        inverse_area = inverse_size.prod(dim=1)[:, None, None] * layout.bins_per_area  # (B, bins, 1)
        pooled = (layout.differences @ corners[:, :, 0]) * inverse_area  # (B, bins, C)

        fine = CANDIDATE_POOL[0] ** 2
        parts = pooled[:, :fine], pooled[:, fine:]
        products = [
            part.reshape(targets, count, -1).to(weight.dtype) @ weight
            for part, weight in zip(parts, weights, strict=True)
        ]
        hidden = torch.relu(torch.cat(products, dim=2).float() + self._bias)  # (T, R, 2 * out)
        score = hidden @ self._output + self._output_bias

        upstream = (self._output * (hidden > 0)).chunk(2, dim=2)
        by_pooled = [
            (part.to(weight.dtype) @ weight.transpose(1, 2)).view(targets * count, -1, channels)
            for part, weight in zip(upstream, weights, strict=True)
        ]
        by_bin = torch.cat(by_pooled, dim=1).float()  # (B, bins, C)
        by_corner = layout.differences.T @ (by_bin * inverse_area)  # (B, P, C)
        # How the score changes as each corner moves down and to the right.
        moved = (corners[:, :, 1:] * by_corner[:, :, None]).sum(-1)  # (B, P, 2)
        by_edge = torch.stack([moved[..., 1] @ layout.to_columns, moved[..., 0] @ layout.to_rows], dim=1)  # (B, 2, E)
        by_start, by_size = by_edge @ layout.per_start, by_edge @ layout.per_size  # (B, 2)
        # A larger area lowers the mean.
        by_size = by_size - (by_bin * pooled).sum(dim=(1, 2))[:, None] * inverse_size
        return score, torch.cat([by_start, by_size], dim=1).view(targets, count, 4)

    def _at_corners(self, maps: IntegralMaps, boxes: torch.Tensor) -> torch.Tensor:
        """At every bin corner of boxes (B, 4): the integral up to it, its derivatives by y and by x; (B, P, 3, C).

        The boxes are those of the first target, then of the second, and so on.
        """
        layout = self._layout
        # (B, 2, E): x and y of the bins' edges, in cells
        edges = boxes[:, :2, None] * layout.per_start + boxes[:, 2:, None] * layout.per_size
        inside = torch.minimum(edges.clamp_min(-1.0), maps.lengths)
        cell = inside.floor()
        t = inside - cell
        upper = 0.5 * t * t
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        integral, derivative = torch.stack([one, t - upper, upper], dim=-1), torch.stack([zero, 1.0 - t, t], dim=-1)
        # Of the running sums, of the cell and of the next one; a line of zeros lies before the map.
        lines = torch.stack([cell + 1, cell + maps.lengths + 4, cell + maps.lengths + 5], dim=-1)
        places = lines.long() * maps.strides[..., None] + maps.origin[..., None]  # (B, 2, E, 3)

        rows, columns = layout.row_of_corner, layout.column_of_corner
        index = places[:, 1].index_select(1, rows)[..., :, None] + places[:, 0].index_select(1, columns)[..., None, :]
        targets, in_map, channels = maps.entries.shape
        first = in_map * torch.arange(targets, device=boxes.device)
        index = index.view(targets, -1) + first[:, None]
        entries = maps.entries.view(-1, channels).index_select(0, index.flatten())  # (B * P * 9, C)
        down, slope_down = integral[:, 1].index_select(1, rows), derivative[:, 1].index_select(1, rows)  # (B, P, 3)
        right, slope_right = integral[:, 0].index_select(1, columns), derivative[:, 0].index_select(1, columns)
        by_y = torch.stack([down, slope_down, down], dim=2)  # (B, P, 3, 3)
        by_x = torch.stack([right, right, slope_right], dim=2)
        weights = by_y[..., :, None] * by_x[..., None, :]  # (B, P, 3, 3, 3)
        at_corners = torch.bmm(weights.view(-1, 3, TAPS**2), entries.view(-1, TAPS**2, channels))
        return at_corners.view(len(boxes), layout.corners, 3, -1)


def with_running_sums(feature: torch.Tensor) -> torch.Tensor:
    """Maps (T, H, W, C) with their sums along both axes: (T, 2 (H + 3), 2 (W + 3), C), on an axis first Q, then f."""
    height, width, channels = feature.shape[1:]
    by_rows = _summing_matrix(height, feature.device) @ feature.flatten(2)  # (T, 2 (H + 3), W * C)
    sums = _summing_matrix(width, feature.device) @ by_rows.view(-1, width, channels)
    return sums.view(len(feature), -1, *sums.shape[1:])


@functools.cache
def _summing_matrix(length: int, device: torch.device) -> torch.Tensor:
    """(2 (length + 3), length) float32, maps a line of cells to Q and then to f.

    Before the line lies one zero, behind it two, so that the entries of any point are found without a test. Only
    differences of sums are used. They are counted from the middle, where the target is expected: small numbers lose
    fewer digits.
    """
    cells = torch.zeros(length + 3, length)
    cells[1 : length + 1] = torch.eye(length)
    sums = cells.cumsum(0) - 0.5 * cells
    return torch.cat([sums - sums[len(sums) // 2], cells]).to(device)


class _BinLayout(NamedTuple):
    """Constants that say which edges and corners the bins of both levels have.

    Attributes:
        corners: P, number of bin corners of a box on both levels.
        per_start: (E,) how the place of an edge, in cells, grows with the box's corner.
        per_size: (E,) and with its size.
        row_of_corner: (P,) edge that a corner lies on.
        column_of_corner: (P,) likewise.
        differences: (bins, P) turns integrals up to corners into integrals over bins.
        to_rows: (P, E) sums corners by their row edge.
        to_columns: (P, E) sums corners by their column edge.
        bins_per_area: (bins, 1) one over a bin's area in cells, for a box of one square pixel.
    """

    corners: int
    per_start: torch.Tensor
    per_size: torch.Tensor
    row_of_corner: torch.Tensor
    column_of_corner: torch.Tensor
    differences: torch.Tensor
    to_rows: torch.Tensor
    to_columns: torch.Tensor
    bins_per_area: torch.Tensor


def _bin_layout(device: torch.device) -> _BinLayout:
    per_start: list[torch.Tensor] = []
    per_size, rows, columns, differences, bins_per_area = [], [], [], [], []
    first = 0
    for bins, stride in zip(CANDIDATE_POOL, (STRIDE_FINE, STRIDE), strict=True):
        lines = torch.arange(bins + 1)
        edges = first + lines
        first += bins + 1
        per_start.append(torch.full((bins + 1,), 1.0 / stride))
        per_size.append(lines / (bins * stride))
        rows.append(edges.repeat_interleave(bins + 1))
        columns.append(edges.repeat(bins + 1))
        step = torch.eye(bins + 1)[1:] - torch.eye(bins + 1)[:-1]  # (bins, bins + 1)
        differences.append(torch.kron(step, step))
        bins_per_area.append(torch.full((bins**2, 1), float((bins * stride) ** 2)))
    row_of_corner, column_of_corner = torch.cat(rows).to(device), torch.cat(columns).to(device)
    return _BinLayout(
        corners=len(row_of_corner),
        per_start=torch.cat(per_start).to(device),
        per_size=torch.cat(per_size).to(device),
        row_of_corner=row_of_corner,
        column_of_corner=column_of_corner,
        differences=torch.block_diag(*differences).to(device),
        to_rows=functional.one_hot(row_of_corner).float(),
        to_columns=functional.one_hot(column_of_corner).float(),
        bins_per_area=torch.cat(bins_per_area).to(device),
    )


@functools.cache
def _places_of_edges(sizes: tuple[tuple[int, int], ...], device: torch.device) -> tuple[torch.Tensor, ...]:
    """Lengths, strides and origin of `IntegralMaps` for maps of these rows and columns."""
    columns: list[torch.Tensor] = []
    origin = 0
    for (height, width), bins in zip(sizes, CANDIDATE_POOL, strict=True):
        line = 2 * (width + 3)
        # (3, 2): length, stride and origin along x and y
        columns += [torch.tensor([[width, height], [1, line], [0, origin]])] * (bins + 1)
        origin += 2 * (height + 3) * line
    lengths, strides, origins = torch.stack(columns, dim=-1).to(device)  # (2, E) each
    return lengths.float(), strides, origins
