"""Weights to start from."""

from __future__ import annotations

import torch

from trdimp_ros.testing.tiny import TINY_NETWORK
from trdimp_ros.training.initialization import initial_network


def test_one_seed_gives_one_network():
    first, second, other = (initial_network(TINY_NETWORK, 0.9, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["feature_extractor.conv1.weight"], other["feature_extractor.conv1.weight"])


def test_the_filter_optimiser_starts_as_a_matched_label():
    optimizer = initial_network(TINY_NETWORK, 0.9, 0).classifier.filter_optimizer
    maps = optimizer.sample_maps(torch.tensor([[40.0, 40.0, 16.0, 16.0]]), (7, 7))
    assert maps.label[0].argmax() == 3 * 7 + 3
    assert maps.label[0, 3, 3] > 0.99
    assert maps.mask[0, 3, 3] > 0.95
    assert maps.mask[0, 0, 0] < 0.1
    assert torch.equal(maps.weight, torch.ones_like(maps.weight))


def test_a_constant_backbone_feature_is_projected_away():
    network = initial_network(TINY_NETWORK, 0.9, 0)
    coarse = torch.full((1, TINY_NETWORK.backbone.coarse_channels, 6, 6), 0.7)
    projected = network.classifier.projection(coarse)[..., 1:-1, 1:-1]
    assert projected.abs().max() < 1e-4
