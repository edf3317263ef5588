"""Preparing a trained network for tracking: batch norms folded into convolutions, layout and precision chosen."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trdimp_ros.models.network import TrDiMPNet
from trdimp_ros.models.resnet import BasicBlock, Bottleneck, ResNet


def prepare_for_inference(network: TrDiMPNet, device: torch.device, dtype: torch.dtype = torch.float32) -> TrDiMPNet:
    """A copy of the network for tracking only, equal up to rounding.

    Stages and layers that the tracker never uses are left out. Convolutions and the attention's key projection
    compute in ``dtype``; first guess and optimiser of the filter and the box scores stay in float32.

    Args:
        network: With its weights loaded. It is not changed.
        device: Where the copy goes.
        dtype: float32, bfloat16 or float16.
    """
    backbone = network.feature_extractor
    unused = {id(module) for name, module in backbone.named_children() if name in ("layer4", "fc")}
    # What is in the memo is taken as its own copy: unused parts are not duplicated only to be dropped.
    memo = dict.fromkeys(unused)
    prepared = copy.deepcopy(network, memo).eval().requires_grad_(False)
    for module in prepared.modules():
        if isinstance(module, (ResNet, Bottleneck, BasicBlock)):
            _fold_named_pairs(module)
        elif isinstance(module, nn.Sequential):
            _fold_sequence(module)
    prepared = prepared.to(device=device)
    classifier = prepared.classifier
    for part in (
        prepared.feature_extractor,
        classifier.feature_extractor,
        prepared.bb_regressor,
    ):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype=dtype)
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    classifier.transformer.to(dtype=dtype)
    return prepared


def _fold_named_pairs(module: nn.Module) -> None:
    """Fold bn1, bn2, ... into conv1, conv2, ..."""
    for number in (1, 2, 3):
        convolution, norm = getattr(module, f"conv{number}", None), getattr(module, f"bn{number}", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, f"conv{number}", fuse_conv_bn_eval(convolution, norm))
            setattr(module, f"bn{number}", nn.Identity())


def _fold_sequence(sequence: nn.Sequential) -> None:
    """Fold every batch norm that follows a convolution."""
    for index in range(len(sequence) - 1):
        convolution, norm = sequence[index], sequence[index + 1]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence[index] = fuse_conv_bn_eval(convolution, norm)
            sequence[index + 1] = nn.Identity()
