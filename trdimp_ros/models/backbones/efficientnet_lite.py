"""EfficientNet-Lite0 (Tan and Le, ICML 2019; the Lite variant of 2020) up to stride 16: a backbone for processors.

Depthwise and 1x1 convolutions make it cheap: a search area of 256 x 256 pixels costs 0.26 GMAC. Lite means no
squeeze-and-excitation, and ReLU6. What comes after stride 16 is left out: the tracker has no use for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models.backbones.base import Backbone, BackboneConfig
from trdimp_ros.models.folding import fold_sequences

NORM_EPS = 1e-3
"""Of the batch norms, as the published weights were trained."""

STEM_CHANNELS = 32


class Stage(NamedTuple):
    """Blocks that work at one resolution; the first one carries the stride.

    Attributes:
        blocks: How many there are.
        kernel: Side of the depthwise convolutions.
        stride: Stride of the first block.
        expansion: Channels inside a block divided by those that enter it.
        channels: Channels that leave each block.
    """

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
)
"""The first five of the seven; the third ends at stride 8 and the fifth at stride 16."""

FINE_STAGES = 3


@dataclass(frozen=True)
class EfficientNetLite0Config(BackboneConfig):
    """EfficientNet-Lite0 has one size."""

    kind: ClassVar[str] = "efficientnet_lite0"


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow does: at stride 2 the right and the lower edge get one more line.

    `torch.nn.Conv2d` pads all sides alike, which would shift the features of weights from TensorFlow by half a pixel at
    each stride. Sides of the input must be multiples of the stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, symmetric, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride[0] == 1:
            return super().forward(x)
        total = self.kernel_size[0] - self.stride[0]
        before = total // 2
        return super().forward(functional.pad(x, (before, total - before, before, total - before)))


def conv_norm(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, activation: bool = True
) -> nn.Sequential:
    """Convolution without bias, batch norm and, unless told otherwise, ReLU6."""
    layers: list[nn.Module] = [
        SameConv2d(in_channels, out_channels, kernel, stride, groups),
        nn.BatchNorm2d(out_channels, eps=NORM_EPS),
    ]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if activation else []))


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection without activation, and the shortcut where shapes agree."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = conv_norm(in_channels, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = conv_norm(inner, inner, kernel, stride, groups=inner)
        self.project = conv_norm(inner, out_channels, 1, activation=False)
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.project(self.depthwise(self.expand(x)))
        return x + branch if self.shortcut else branch


def build_stages(in_channels: int, stages: Sequence[Stage]) -> nn.Sequential:
    """One `nn.Sequential` of blocks for each stage."""
    built = []
    for stage in stages:
        blocks = []
        for index in range(stage.blocks):
            stride = stage.stride if index == 0 else 1
            blocks.append(InvertedResidual(in_channels, stage.channels, stage.kernel, stride, stage.expansion))
            in_channels = stage.channels
        built.append(nn.Sequential(*blocks))
    return nn.Sequential(*built)


class EfficientNetLite0(Backbone):
    """The stem and the first five stages; `forward` gives the results of the third and the fifth."""

    def __init__(self, config: EfficientNetLite0Config | None = None) -> None:
        super().__init__()
        del config  # it holds nothing
        self.fine_channels, self.coarse_channels = STAGES[FINE_STAGES - 1].channels, STAGES[-1].channels
        self.stem = conv_norm(3, STEM_CHANNELS, 3, stride=2)
        self.stages = build_stages(STEM_CHANNELS, STAGES)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        """Scale RGB values of 0..255 to -1..1, as the published weights were trained."""
        return (image - 127.0) / 128.0

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, 40, H/8, W/8) and (N, 112, H/16, W/16), see `Backbone.forward`."""
        fine = self.stages[:FINE_STAGES](self.stem(image))
        return fine, self.stages[FINE_STAGES:](fine)

    def prepare_for_inference(self) -> None:
        """Fold the batch norms, and the uneven padding into the kernels."""
        fold_sequences(self)
        for module in list(self.modules()):
            if isinstance(module, nn.Sequential) and isinstance(module[0], SameConv2d):
                module[0] = _evenly_padded(module[0])

    def residual_norms(self) -> list[nn.BatchNorm2d]:
        """The last batch norm of every block with a shortcut."""
        norms = [block.project[1] for block in self.modules() if isinstance(block, InvertedResidual) and block.shortcut]
        return [norm for norm in norms if isinstance(norm, nn.BatchNorm2d)]


def _evenly_padded(convolution: SameConv2d) -> nn.Conv2d:
    """The same convolution with padding alike on all sides: at stride 2 the kernel gets a line of zeros above and left.

    So no padded copy of the input has to be made, which costs more than the zeros.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    extra = stride - 1  # lines
    total = kernel - stride
    before = total // 2 if stride > 1 else kernel // 2
    even = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        kernel + extra,
        stride,
        padding=before + extra,
        groups=convolution.groups,
        bias=convolution.bias is not None,
    )
    even.weight = nn.Parameter(functional.pad(convolution.weight.detach(), (extra, 0, extra, 0)))
    even.bias = convolution.bias
    return even.train(convolution.training).requires_grad_(convolution.weight.requires_grad)
