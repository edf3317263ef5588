"""Feature maps summed up, so that the integral over any rectangle needs a few entries only.

The integral of a map interpolated by hat functions, from its corner up to a point, is quadratic within a cell. Along
one axis, with k = floor(y) and t = y - k::

    integral up to y = Q[k] + f[k] (t - t^2/2) + f[k + 1] t^2/2,    Q[k] = f[0] + ... + f[k - 1] + f[k]/2

and its derivative is the interpolated value f[k] (1 - t) + f[k + 1] t. So a point needs 3 x 3 entries of a map that
holds Q and f along each axis.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch

TAPS = 3
"""Entries along one axis that a point needs: the sum up to its cell, that cell, and the next one."""

POWERS_OF_T = ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0, -1.0, 1.0), (0.0, -0.5, 0.5, 0.0, 0.0, 0.0))
"""Weights of the three entries in the integral, then in its derivative: factors of 1, of t and of t^2."""


class IntegralMaps(NamedTuple):
    """Summed maps of several levels for each of T targets, and where points on them find their entries.

    Attributes:
        table: (N, C) float32, all entries of all maps.
        lengths: (2, E) float32 cells along x and y of the map that each of E lines lies on.
        steps: (2, E) float32 entries from one cell to the next along x and y.
        offsets: (T, P, 9) int64: the entries of each of P points whose cell is 0, 0.
    """

    table: torch.Tensor
    lengths: torch.Tensor
    steps: torch.Tensor
    offsets: torch.Tensor


class MapSummer:
    """Sums up maps, frame after frame, in the same room on the device.

    Args:
        max_targets: The number of targets that there is room for.
        levels: The level that each of E lines lies on.
        points: The lines, of rows and of columns, that cross in each of P points.
    """

    def __init__(self, max_targets: int, levels: Sequence[int], points: Sequence[tuple[int, int]]) -> None:
        self._max_targets = max_targets
        self._levels, self._points = tuple(levels), tuple(points)
        self._table = torch.zeros(0)

    def __call__(self, maps: Sequence[torch.Tensor]) -> IntegralMaps:
        """Sum up.

        Args:
            maps: (T, H, W, C) float32 on each level.

        Returns:
            The summed maps; they are good until the next call.
        """
        targets, device, channels = len(maps[0]), maps[0].device, maps[0].shape[-1]
        sizes = tuple((one.shape[1], one.shape[2]) for one in maps)
        counts = [_entries(size) for size in sizes]
        room = (self._max_targets * sum(counts), channels)
        if self._table.shape != room:
            self._table = torch.zeros(room, device=device)
        table = self._table[: targets * sum(counts)]
        rooms = table.split([targets * count for count in counts])
        for one, room in zip(maps, rooms, strict=True):
            # One by one: sums of several maps would leave a processor's cache before they are used.
            for target, its_room in zip(one, room.chunk(targets), strict=True):
                running_sums(target, out=its_room)
        return IntegralMaps(table, *_layout(sizes, self._levels, self._points, targets, device))


def running_sums(feature: torch.Tensor, out: torch.Tensor) -> None:
    """Write a map (H, W, C) with its sums along both axes to (2 (H + 3) * 2 (W + 3), C): along each axis Q, then f."""
    height, width, channels = feature.shape
    by_rows = (_summing_matrix(height, feature.device) @ feature.flatten(1)).view(-1, width, channels)
    by_columns = _summing_matrix(width, feature.device).expand(len(by_rows), -1, -1)
    torch.bmm(by_columns, by_rows, out=out.view(len(by_rows), -1, channels))


def _entries(size: tuple[int, int]) -> int:
    """Number of entries of a summed map of these rows and columns."""
    return 2 * (size[0] + 3) * 2 * (size[1] + 3)


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


@functools.cache
def _layout(
    sizes: tuple[tuple[int, int], ...],
    levels: tuple[int, ...],
    points: tuple[tuple[int, int], ...],
    targets: int,
    device: torch.device,
) -> tuple[torch.Tensor, ...]:
    """Lengths, steps and offsets of `IntegralMaps` for maps of these rows and columns."""
    entries = [_entries(size) for size in sizes]
    lengths = torch.tensor([[sizes[level][1] for level in levels], [sizes[level][0] for level in levels]])  # (2, E)
    steps = torch.stack([torch.ones(len(levels), dtype=torch.int64), 2 * (lengths[0] + 3)])
    # A line of zeros lies before the map: Q of a cell, then the cell, then the next one.
    taps = torch.stack([torch.ones_like(lengths), lengths + 4, lengths + 5], dim=-1) * steps[..., None]  # (2, E, 3)
    first = torch.tensor(
        [[targets * sum(entries[:level]) + target * entries[level] for level in levels] for target in range(targets)]
    )  # (T, E)
    rows, columns = torch.tensor(points).T
    by_row = taps[1, rows] + first[:, rows, None]  # (T, P, 3)
    offsets = (by_row[..., :, None] + taps[0, columns][..., None, :]).flatten(2)
    return lengths.float().to(device), steps.float().to(device), offsets.to(device)
