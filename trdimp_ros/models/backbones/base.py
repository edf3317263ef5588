"""What the tracker asks of a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn


@dataclass(frozen=True)
class BackboneConfig:
    """The sizes of a backbone: a frozen dataclass for each kind, stored beside the weights.

    Fields are numbers, strings, booleans and tuples of them.

    Attributes:
        kind: The name under which the kind is registered and stored.
    """

    kind: ClassVar[str]


class Backbone(nn.Module, ABC):
    """A convolutional network with feature maps at strides 8 and 16.

    Attributes:
        fine_channels: Number of channels of the stride-8 feature.
        coarse_channels: Number of channels of the stride-16 feature.
    """

    fine_channels: int
    coarse_channels: int

    @abstractmethod
    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """Turn an image into the input that the weights were trained with.

        Args:
            image: RGB values (N, 3, H, W) of a floating point type, 0..255.

        Returns:
            A tensor of the same shape and dtype.
        """

    @abstractmethod
    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the two features that the tracker uses.

        Args:
            image: An input (N, 3, H, W) from `normalize`; H and W are multiples of 16.

        Returns:
            The stride-8 feature (N, fine_channels, H/8, W/8) and the stride-16 feature
            (N, coarse_channels, H/16, W/16), of the dtype of the weights.
        """

    @abstractmethod
    def prepare_for_inference(self) -> None:
        """Fold batch norms into convolutions and drop what `forward` never uses, in place.

        It is called once, in eval mode, on the copy that a tracker makes for itself. The features stay equal up to
        rounding. `folding` has the tools.
        """

    def residual_norms(self) -> Sequence[nn.BatchNorm2d]:
        """The last batch norm of each residual branch, whose weight scales what the branch adds; none by default."""
        return ()

    def initialize(self) -> None:
        """Draw random weights to train from (He et al., ICCV 2015); residual blocks start as the identity."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for norm in self.residual_norms():
            nn.init.zeros_(norm.weight)
