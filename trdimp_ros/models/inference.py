"""Preparing a trained network for tracking: batch norms folded into convolutions, layout and precision chosen."""

from __future__ import annotations

import copy

import torch
from torch import nn

from trdimp_ros.models.folding import fold_sequences
from trdimp_ros.models.network import TrDiMPNet


def prepare_for_inference(network: TrDiMPNet, device: torch.device, dtype: torch.dtype = torch.float32) -> TrDiMPNet:
    """A copy of the network for tracking only, equal up to rounding.

    Stages and layers that the tracker never uses are left out. Convolutions and the attention's key projection
    compute in ``dtype``; first guess and optimiser of the filter and the box scores stay in float32.

    Args:
        network: The network with its weights loaded. It is not changed.
        device: The device that the copy goes to.
        dtype: The precision, float32, bfloat16 or float16.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    classifier = prepared.classifier
    prepared.backbone.prepare_for_inference()
    fold_sequences(prepared.bb_regressor)
    prepared = prepared.to(device=device)
    for part in (prepared.backbone, classifier.projection, prepared.bb_regressor):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype=dtype)
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    prepared.backbone.to(dtype=dtype)
    classifier.transformer.to(dtype=dtype)
    return prepared
