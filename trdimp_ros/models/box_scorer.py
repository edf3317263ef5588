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
    """What `BoxScorer.prepare` makes of a frame's features.

    Attributes:
        entries: (E, C) float32: both levels' maps with their running sums, flattened.
        lengths: (2, B) float32 cells along x and y of the map that each of the B bin edges lies on.
        strides: (2, B) int64 entries from one cell to the next along x and y.
        origin: (2, B) int64 first entry of the map, in the row of y; 0 in that of x.
    """

    entries: torch.Tensor
    lengths: torch.Tensor
    strides: torch.Tensor
    origin: torch.Tensor


class BoxScorer:
    """Scores boxes for one target.

    The modulation scales channels before a linear layer, so it is folded into that layer's weights, with the batch
    norm, once per target.

    Args:
        regressor: In eval mode.
        modulation: Two vectors (channels,) of the target, see `set_modulation`.
        dtype: Of the linear layers' products, which read more memory than all the rest.
    """

    def __init__(
        self,
        regressor: BoxRegressor,
        modulation: tuple[torch.Tensor, torch.Tensor],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        device = modulation[0].device
        plain, biases = [], []
        for block, bins in zip((regressor.fc3_rt, regressor.fc4_rt), CANDIDATE_POOL, strict=True):
            weight, bias = (tensor.detach().float() for tensor in block.folded())
            plain.append(weight.view(len(bias), -1, bins**2))  # (out, C, bins * bins)
            biases.append(bias)
        self._plain = plain
        self._bias = torch.cat(biases)
        self._output = regressor.iou_predictor.weight.detach().float()[0]
        self._output_bias = regressor.iou_predictor.bias.detach().float()
        self._weights = [
            torch.empty(one[0].numel(), len(one), device=device, dtype=dtype) for one in plain
        ]  # (bins * bins * C, out)
        self._layout = _bin_layout(device)
        self.set_modulation(modulation)

    def set_modulation(self, modulation: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Score for another target; buffers keep their place in memory."""
        for buffer, plain, vector in zip(self._weights, self._plain, modulation, strict=True):
            buffer.copy_((plain * vector.float()[:, None]).permute(2, 1, 0).flatten(0, 1))

    def prepare(self, features: tuple[torch.Tensor, torch.Tensor]) -> IntegralMaps:
        """Sum up the features of one frame, from `BoxRegressor.search_features`, batch size 1."""
        maps = [feature[0].permute(1, 2, 0).float() for feature in features]  # (H, W, C)
        entries = torch.cat([with_running_sums(one).flatten(0, 1) for one in maps])
        sizes = tuple((one.shape[0], one.shape[1]) for one in maps)
        return IntegralMaps(entries, *_places_of_edges(sizes, entries.device))

    def score_and_gradient(self, maps: IntegralMaps, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score boxes on one frame.

        Args:
            maps: From `prepare`.
            boxes: (R, 4) float32 x, y, w, h in pixels of the network input.

        Returns:
            Scores (R,) and their gradient (R, 4) with respect to x, y, w, h.
        """
        layout, count, channels = self._layout, len(boxes), maps.entries.shape[1]
        corners = self._at_corners(maps, boxes)  # (R, P, 3, C)
        # A box without area pools to zero.
        size = boxes[:, 2:]
        solid = (size > 0).all(dim=1, keepdim=True)
        inverse_size = torch.where(solid, 1.0 / torch.where(solid, size, 1.0), 0.0)  # (R, 2)
        inverse_area = inverse_size.prod(dim=1)[:, None, None] * layout.bins_per_area  # (R, bins, 1)
        pooled = (layout.differences @ corners[:, :, 0]) * inverse_area  # (R, bins, C)

        fine = CANDIDATE_POOL[0] ** 2
        parts = pooled[:, :fine].flatten(1), pooled[:, fine:].flatten(1)
        products = [part.to(weight.dtype) @ weight for part, weight in zip(parts, self._weights, strict=True)]
        hidden = torch.relu(torch.cat(products, dim=1).float() + self._bias)  # (R, 2 * out)
        score = hidden @ self._output + self._output_bias

        upstream = (self._output * (hidden > 0)).chunk(2, dim=1)
        by_pooled = [
            (part.to(weight.dtype) @ weight.T).view(count, -1, channels)
            for part, weight in zip(upstream, self._weights, strict=True)
        ]
        by_bin = torch.cat(by_pooled, dim=1).float()  # (R, bins, C)
        by_corner = layout.differences.T @ (by_bin * inverse_area)  # (R, P, C)
        # How the score changes as each corner moves down and to the right.
        moved = (corners[:, :, 1:] * by_corner[:, :, None]).sum(-1)  # (R, P, 2)
        by_edge = torch.stack([moved[..., 1] @ layout.to_columns, moved[..., 0] @ layout.to_rows], dim=1)  # (R, 2, B)
        by_start, by_size = by_edge @ layout.per_start, by_edge @ layout.per_size  # (R, 2)
        # A larger area lowers the mean.
        by_size = by_size - (by_bin * pooled).sum(dim=(1, 2))[:, None] * inverse_size
        return score, torch.cat([by_start, by_size], dim=1)

    def _at_corners(self, maps: IntegralMaps, boxes: torch.Tensor) -> torch.Tensor:
        """At every bin corner of boxes (R, 4): the integral up to it, its derivatives by y and by x; (R, P, 3, C)."""
        layout = self._layout
        # (R, 2, B): x and y of the bins' edges, in cells
        edges = boxes[:, :2, None] * layout.per_start + boxes[:, 2:, None] * layout.per_size
        inside = torch.minimum(edges.clamp_min(-1.0), maps.lengths)
        cell = inside.floor()
        t = inside - cell
        upper = 0.5 * t * t
        one, zero = torch.ones_like(t), torch.zeros_like(t)
        integral, derivative = torch.stack([one, t - upper, upper], dim=-1), torch.stack([zero, 1.0 - t, t], dim=-1)
        # Of the running sums, of the cell and of the next one; a line of zeros lies before the map.
        lines = torch.stack([cell + 1, cell + maps.lengths + 4, cell + maps.lengths + 5], dim=-1)
        places = lines.long() * maps.strides[..., None] + maps.origin[..., None]  # (R, 2, B, 3)

        rows, columns = layout.row_of_corner, layout.column_of_corner
        index = places[:, 1].index_select(1, rows)[..., :, None] + places[:, 0].index_select(1, columns)[..., None, :]
        entries = maps.entries.index_select(0, index.flatten())  # (R * P * 9, C)
        down, slope_down = integral[:, 1].index_select(1, rows), derivative[:, 1].index_select(1, rows)  # (R, P, 3)
        right, slope_right = integral[:, 0].index_select(1, columns), derivative[:, 0].index_select(1, columns)
        by_y = torch.stack([down, slope_down, down], dim=2)  # (R, P, 3, 3)
        by_x = torch.stack([right, right, slope_right], dim=2)
        weights = by_y[..., :, None] * by_x[..., None, :]  # (R, P, 3, 3, 3)
        at_corners = torch.bmm(weights.view(-1, 3, TAPS**2), entries.view(-1, TAPS**2, entries.shape[1]))
        return at_corners.view(len(boxes), layout.corners, 3, -1)


def with_running_sums(feature: torch.Tensor) -> torch.Tensor:
    """A map (H, W, C) with its sums along both axes: (2 (H + 3), 2 (W + 3), C), along each axis first Q, then f."""
    height, width, channels = feature.shape
    by_rows = _summing_matrix(height, feature.device) @ feature.flatten(1)
    return _summing_matrix(width, feature.device) @ by_rows.view(-1, width, channels)


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
        per_start: (B,) how the place of an edge, in cells, grows with the box's corner.
        per_size: (B,) and with its size.
        row_of_corner: (P,) edge that a corner lies on.
        column_of_corner: (P,) likewise.
        differences: (bins, P) turns integrals up to corners into integrals over bins.
        to_rows: (P, B) sums corners by their row edge.
        to_columns: (P, B) sums corners by their column edge.
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
    lengths, strides, origins = torch.stack(columns, dim=-1).to(device)  # (2, B) each
    return lengths.float(), strides, origins
