"""Rendering: textured layers placed by affine maps, painted over each other, and the boxes they fill.

A texture's own coordinates u run from -1 to 1 in both directions. A pose places it in the picture:
``p = centre + M u``, in pixels, the first coordinate to the right. A whole batch is rendered at once, by `grid_sample`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class Pose(NamedTuple):
    """Where a texture lies in the picture.

    Attributes:
        center: (N, 2) x, y of the texture's centre in pixels.
        matrix: (N, 2, 2) M.
    """

    center: torch.Tensor
    matrix: torch.Tensor

    def select(self, index: torch.Tensor) -> Pose:
        """The poses with these numbers."""
        return Pose(self.center[index], self.matrix[index])


def make_pose(
    center: torch.Tensor,
    size: torch.Tensor,
    rotation: torch.Tensor,
    shear: torch.Tensor,
    mirrored: torch.Tensor,
) -> Pose:
    """A pose from what one would say of it.

    Args:
        center: (N, 2).
        size: (N, 2) width and height in pixels before rotation.
        rotation: (N,) radians.
        shear: (N,) horizontal shear.
        mirrored: (N,) bool, left and right exchanged.
    """
    cos, sin = rotation.cos(), rotation.sin()
    half = size / 2
    width = torch.where(mirrored, -half[:, 0], half[:, 0])
    first = torch.stack([cos * width, sin * width], dim=1)
    second = torch.stack([(shear * cos - sin) * half[:, 1], (shear * sin + cos) * half[:, 1]], dim=1)
    return Pose(center, torch.stack([first, second], dim=2))


def render(textures: torch.Tensor, pose: Pose, size: tuple[int, int], padding: str) -> torch.Tensor:
    """Draw one texture in each picture.

    Args:
        textures: (N, C, H, W) float.
        pose: Where each texture lies.
        size: Height and width of the pictures.
        padding: What lies beyond a texture's edge, in the words of `grid_sample`: zeros, border or reflection.

    Returns:
        (N, C, height, width).
    """
    height, width = size
    rows = torch.arange(height, device=textures.device, dtype=torch.float32) + 0.5
    columns = torch.arange(width, device=textures.device, dtype=torch.float32) + 0.5
    inverse = torch.linalg.inv(pose.matrix)  # (N, 2, 2)
    offset = -(inverse @ pose.center[..., None])[..., 0]  # (N, 2)
    grid = (
        inverse[:, None, None, :, 0] * columns[None, None, :, None]
        + inverse[:, None, None, :, 1] * rows[None, :, None, None]
        + offset[:, None, None]
    )  # (N, height, width, 2)
    return functional.grid_sample(textures, grid, padding_mode=padding, align_corners=False)


def paint(pictures: torch.Tensor, layer: torch.Tensor) -> torch.Tensor:
    """Layers (N, 4, H, W), RGB and coverage 0..1, over pictures (N, 3, H, W)."""
    coverage = layer[:, 3:]
    return pictures + coverage * (layer[:, :3] - pictures)


def warp_elastically(textures: torch.Tensor, knots: torch.Tensor) -> torch.Tensor:
    """Bend textures (N, C, H, W) by displacements (N, 2, k, k) in units of u, smooth between the knots."""
    side = textures.shape[-1]
    displacement = functional.interpolate(knots, size=(side, side), mode="bicubic", align_corners=True)
    line = (torch.arange(side, device=textures.device, dtype=torch.float32) + 0.5) / side * 2 - 1
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)  # (H, W, 2)
    return functional.grid_sample(textures, grid + displacement.permute(0, 2, 3, 1), align_corners=False)


def covered_box(coverage: torch.Tensor, pose: Pose) -> torch.Tensor:
    """The exact box, also beyond the picture's edge, of what a texture's coverage fills.

    Args:
        coverage: (N, H, W) 0..1; texels above one half count.
        pose: Where each texture lies.

    Returns:
        (N, 4) x, y, w, h in pixels.
    """
    side = coverage.shape[-1]
    line = (torch.arange(side, device=coverage.device, dtype=torch.float32) + 0.5) / side * 2 - 1
    inside = coverage > 0.5  # (N, H, W)
    corners = []
    for axis in (0, 1):
        along, across = pose.matrix[:, axis, 0], pose.matrix[:, axis, 1]
        position = along[:, None, None] * line[None, None, :] + across[:, None, None] * line[None, :, None]
        half_texel = (along.abs() + across.abs()) / side
        low = position.masked_fill(~inside, torch.inf).amin(dim=(1, 2)) - half_texel
        high = position.masked_fill(~inside, -torch.inf).amax(dim=(1, 2)) + half_texel
        corners.append((low + pose.center[:, axis], high + pose.center[:, axis]))
    (x0, x1), (y0, y1) = corners
    return torch.stack([x0, y0, x1 - x0, y1 - y0], dim=1)
