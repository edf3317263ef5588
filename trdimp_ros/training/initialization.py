"""Weights to start training from."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from trdimp_ros.models import NetworkConfig, TrDiMPNet
from trdimp_ros.training.pretrained import has_pretrained, load_pretrained, pretrained_file

STEP_LENGTH_LOG = -0.1
REGULARIZATION = 0.03
QUALITY_LOGIT = -3.0
"""What the direct box head's quality starts from: few cells hold the target."""

MASK_HEIGHT = 4.0
"""The optimiser's mask starts as a sigmoid from 4 to -4: a target's label counts in full, background one-sidedly."""


def initial_network(config: NetworkConfig, label_width: float, seed: int, pretrained: bool = True) -> TrDiMPNet:
    """A network with random weights and the filter optimiser's maps as DiMP starts them (Bhat et al., 2019).

    Args:
        config: Sizes of the network.
        label_width: Standard deviation of the wanted scores in feature cells.
        seed: Seed of the random weights.
        pretrained: A backbone for which there are published weights gets these.

    Raises:
        ValueError: if the backbone's published weights are not installed.
    """
    torch.manual_seed(seed)
    network = TrDiMPNet(config)
    network.backbone.initialize()
    if pretrained and has_pretrained(network.backbone):
        load_pretrained(network.backbone, pretrained_file())
    if network.direct_box_head is not None:
        nn.init.constant_(cast(torch.Tensor, network.direct_box_head.output.bias)[4:], QUALITY_LOGIT)
    for part in (network.classifier, network.bb_regressor):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    with torch.no_grad():
        # The backbone's feature is never negative, so random weights would give all cells one large common part, and
        # neither attention nor filter could tell them apart. Weights that sum to zero remove it.
        projection = network.classifier.projection.weight
        projection -= projection.mean(dim=(1, 2, 3), keepdim=True)
    optimizer = network.classifier.filter_optimizer
    distance = (torch.arange(config.distance_bins) * config.bin_width).view(1, -1, 1, 1)
    with torch.no_grad():
        optimizer.log_step_length.fill_(STEP_LENGTH_LOG)
        optimizer.filter_reg.fill_(REGULARIZATION)
        optimizer.label_map_predictor.weight.copy_(torch.exp(-0.5 * (distance / label_width) ** 2))
        mask = cast(nn.Conv2d, optimizer.target_mask_predictor[0])
        mask.weight.copy_(MASK_HEIGHT * torch.tanh(2.0 - distance))
        optimizer.spatial_weight_predictor.weight.fill_(1.0)
    return network
