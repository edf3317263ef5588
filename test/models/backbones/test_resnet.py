"""The residual backbone: what it drops and folds for tracking, and how its training starts."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from trdimp_ros.models.backbones import ResNet, ResNetConfig

CONFIGS = [
    ResNetConfig("basic", 8, (8, 12, 16), (1, 2, 1), 0),
    ResNetConfig("bottleneck", 8, (4, 6, 8, 8), (1, 2, 1, 1), 5),
]


def random_norms(backbone: ResNet) -> ResNet:
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(values, 0.5, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return backbone.eval()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
def test_a_prepared_backbone_computes_the_same_with_less(config):
    torch.manual_seed(0)
    backbone = random_norms(ResNet(config))
    prepared = copy.deepcopy(backbone)
    prepared.prepare_for_inference()
    assert not [name for name, module in prepared.named_modules() if isinstance(module, (nn.BatchNorm2d, nn.Linear))]
    assert not hasattr(prepared, "layer4")
    image = torch.rand(2, 3, 64, 64)
    for before, after in zip(backbone(image), prepared(image), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
def test_features_have_the_promised_channels_and_strides(config):
    fine, coarse = ResNet(config)(torch.rand(1, 3, 64, 96))
    assert fine.shape == (1, config.fine_channels, 8, 12)
    assert coarse.shape == (1, config.coarse_channels, 4, 6)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.block)
def test_residual_blocks_start_as_the_identity(config):
    backbone = ResNet(config)
    assert len(backbone.residual_norms()) == sum(config.stage_depths)
    backbone.initialize()
    block = backbone.layer2[1].train()
    feature = torch.rand(2, config.fine_channels, 4, 4)
    torch.testing.assert_close(block(feature), feature)
