"""Precise RoI pooling (Jiang et al., ECCV 2018, section 3.2) as two small matrix products.

The mean of a bilinearly interpolated map over a rectangular bin separates into rows and columns::

    out[i, j] = sum_yx  rows[i, y] * features[y, x] * columns[j, x]

where ``rows[i, y]`` is the mean over bin i of the hat function at y. The integral of a hat is a piecewise quadratic, so
the weights are exact and in closed form.
"""

from __future__ import annotations

import torch


def hat_integral(t: torch.Tensor) -> torch.Tensor:
    """The integral of the hat function max(0, 1 - |t|) from minus infinity to t: 0 below -1, 1 above 1."""
    t = t.clamp(-1.0, 1.0)
    return 0.5 + t - 0.5 * t * t.abs()


def bin_edges(start: torch.Tensor, end: torch.Tensor, bins: int) -> torch.Tensor:
    """Edges of equal bins: (R,) starts and ends -> (R, bins + 1)."""
    fractions = torch.arange(bins + 1, device=start.device, dtype=start.dtype) / bins
    return start[:, None] + (end - start)[:, None] * fractions


def bin_weights(start: torch.Tensor, end: torch.Tensor, bins: int, size: int) -> torch.Tensor:
    """Weights of a line of cells in the mean over each of several bins.

    Args:
        start: (R,) where the bins begin, in cells (cell centres on integers).
        end: (R,) where they end. Bins of no or negative length get zero weights.
        bins: Number of equal bins between them.
        size: Number of cells.

    Returns:
        (R, bins, size) weights; they sum to 1 where the bin lies inside the map. Differentiable by autograd.
    """
    edges = bin_edges(start, end, bins)  # (R, bins + 1)
    cells = torch.arange(size, device=start.device, dtype=start.dtype)
    integral = hat_integral(edges[..., None] - cells)  # (R, bins + 1, size)
    length = (end - start)[:, None, None] / bins
    empty = length <= 0
    mean = (integral[:, 1:] - integral[:, :-1]) / torch.where(empty, torch.ones_like(length), length)
    return torch.where(empty, torch.zeros_like(mean), mean)


def region_weights(
    rois: torch.Tensor, scale: float, output_size: tuple[int, int], map_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of a map's rows and of its columns in the means over the bins of regions.

    Args:
        rois: (N, R, 4) regions x0, y0, x1, y1 in image pixels.
        scale: Feature cells per image pixel, 1/8 or 1/16 here.
        output_size: Bins along the rows and the columns.
        map_size: H and W, cells of the map.

    Returns:
        (N, R, output rows, H) and (N, R, output columns, W). Those of a region without area are zero.
    """
    images, count = rois.shape[:2]
    x0, y0, x1, y1 = (rois.reshape(-1, 4) * scale).unbind(-1)
    rows = bin_weights(y0, y1, output_size[0], map_size[0]).view(images, count, output_size[0], map_size[0])
    columns = bin_weights(x0, x1, output_size[1], map_size[1]).view(images, count, output_size[1], map_size[1])
    # A region without area is empty in both directions.
    solid = ((x1 > x0) & (y1 > y0)).view(images, count, 1, 1)
    return rows * solid, columns


def precise_roi_pool(
    features: torch.Tensor, rois: torch.Tensor, scale: float, output_size: tuple[int, int]
) -> torch.Tensor:
    """Mean of the interpolated feature map over each bin of each region; zero outside the map.

    Args:
        features: (N, C, H, W) float.
        rois: (N, R, 4) regions x0, y0, x1, y1 in image pixels, R for each image.
        scale: Feature cells per image pixel, 1/8 or 1/16 here.
        output_size: Bins along the rows and the columns.

    Returns:
        (N, R, C, output rows, output columns). Differentiable with respect to both inputs.
    """
    rows, columns = region_weights(rois, scale, output_size, (features.shape[2], features.shape[3]))
    return torch.einsum("nriy,ncyx,nrjx->nrcij", rows, features, columns)
