"""Folding batch norms into the convolutions before them: one operation less while tracking, the same result."""

from __future__ import annotations

import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_pair(module: nn.Module, convolution_name: str, norm_name: str) -> None:
    """Fold one child of a module into another, in place, where these are a convolution and a batch norm.

    Args:
        module: The parent, in eval mode.
        convolution_name: The child that is applied first.
        norm_name: The child that is applied to its result; it becomes the identity.
    """
    convolution, norm = getattr(module, convolution_name, None), getattr(module, norm_name, None)
    if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
        setattr(module, convolution_name, fuse_conv_bn_eval(convolution, norm))
        setattr(module, norm_name, nn.Identity())


def fold_sequences(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution in an `nn.Sequential`, anywhere in a module in eval mode."""
    for sequence in module.modules():
        if isinstance(sequence, nn.Sequential):
            names = [name for name, _ in sequence.named_children()]
            for convolution_name, norm_name in itertools.pairwise(names):
                fold_pair(sequence, convolution_name, norm_name)
