"""What a target looks like as a vector: views of one object are near each other, those of look-alikes are not.

The target filter learns what tells a target from its surroundings; something that looks much like it passes. Trackers
of many objects tell such objects apart by an appearance embedding (DeepSORT, ICIP 2017), and so does this head. It
takes the backbone's features of a close view: the target's box, stretched to a square of its own resolution. The
backbone learned to name things in any light and any colour, so the head looks at the pixels as well.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models.direct_box_head import SeparableConv
from trdimp_ros.models.norm import at_least_float32

VIEW_SIDE = 80
"""Pixels of a close view's side."""

VIEW_MARGIN = 1.15
"""A close view is so many times as wide and as high as the box."""

DIMENSIONS = 128
"""Numbers of an embedding."""

PIXEL_CHANNELS = 32
"""Channels of what the head makes of 4 x 4 pixels."""

CELLS = 5
"""Cells along each side of what the embedding is a linear function of: it knows where on the target something is."""

LOG_SCALE, OFFSET = 2.3, -5.0
"""What the trained map from a cosine to a logit starts from (SigLIP, ICCV 2023)."""


class AppearanceHead(nn.Module):
    """Embeds close views of objects.

    Args:
        fine_channels: Channels of the stride-8 backbone feature.
        coarse_channels: Channels of the stride-16 backbone feature.
        channels: Channels C of the head's own features.

    Attributes:
        log_scale: Logarithm of the factor from a cosine to a logit.
        offset: What is added to that.
    """

    def __init__(self, fine_channels: int, coarse_channels: int, channels: int) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(fine_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.coarse = nn.Sequential(nn.Conv2d(coarse_channels, channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.pixels = nn.Sequential(
            nn.Conv2d(3, PIXEL_CHANNELS, 4, stride=4, bias=False),
            nn.BatchNorm2d(PIXEL_CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(PIXEL_CHANNELS, channels, 2, stride=2, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.merged = SeparableConv(channels)
        self.below = SeparableConv(channels)
        self.embedding = nn.Linear(channels * CELLS**2, DIMENSIONS)
        self.log_scale = nn.Parameter(torch.tensor(LOG_SCALE))
        self.offset = nn.Parameter(torch.tensor(OFFSET))

    def forward(self, views: torch.Tensor, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Unit vectors (N, 128) float32 of N close views.

        Args:
            views: The views (N, 3, 80, 80) RGB 0..255.
            fine: The stride-8 backbone feature (N, C8, 10, 10) of the views.
            coarse: The stride-16 backbone feature (N, C16, 5, 5).
        """
        enlarged = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="nearest")
        colors = self.pixels((views / 127.5 - 1).to(fine.dtype))  # (N, C, 10, 10)
        x = self.merged(torch.relu(self.fine(fine) + enlarged + colors))
        x = self.below(functional.avg_pool2d(x, 2))  # (N, C, 5, 5)
        embedding = self.embedding(x.flatten(1).to(self.embedding.weight.dtype))
        return functional.normalize(at_least_float32(embedding), dim=1)

    def logit(self, cosine: torch.Tensor) -> torch.Tensor:
        """The logit of the probability that two views show one object, from the cosine of their embeddings."""
        return self.log_scale.exp() * cosine + self.offset


def require_appearance_head(head: AppearanceHead | None) -> AppearanceHead:
    """The appearance head of a network that is asked for one.

    Raises:
        ValueError: if the network has none.
    """
    if head is None:
        raise ValueError("these weights have no appearance head; use weights that have one, such as the bundled ones")
    return head
