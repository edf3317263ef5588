"""A network of the tracker's design that is small enough for tests of behaviour."""

from __future__ import annotations

import functools
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trdimp_ros.evaluation.competitors import OwnTracker
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.models import NetworkConfig, ResNetConfig, TrDiMPNet
from trdimp_ros.tracking import Tracker, TrackerConfig

TINY_NETWORK = NetworkConfig(
    backbone=ResNetConfig(block="basic", stem_width=8, stage_widths=(8, 12, 16), stage_depths=(1, 1, 1), classes=0),
    feature_channels=24,
    key_channels=8,
    iou_channels=16,
)


@functools.cache
def tiny_network() -> TrDiMPNet:
    torch.manual_seed(1)
    network = TrDiMPNet(TINY_NETWORK).eval()
    optimizer = network.classifier.filter_optimizer
    distance = torch.arange(100).view(1, 100, 1, 1) * 0.1
    with torch.no_grad():
        optimizer.label_map_predictor.weight.copy_(torch.exp(-0.5 * distance**2))
        cast(nn.Conv2d, optimizer.target_mask_predictor[0]).weight.copy_(3 * torch.tanh(2 - distance))
        optimizer.spatial_weight_predictor.weight.fill_(1.0)
    return network


def tiny_config(**changes: Any) -> TrackerConfig:
    """Small, and believing whatever it sees."""
    defaults = {"image_sample_size": 96, "target_not_found_threshold": -1.0, "distractor_threshold": 100.0}
    return TrackerConfig(**(defaults | changes))


def tiny_tracker(**changes: Any) -> Tracker:
    return Tracker(tiny_network(), tiny_config(**changes))


def tiny_competitor() -> OwnTracker:
    """The same as the evaluation uses it, for processes that must import what builds it."""
    return OwnTracker(tiny_tracker())


@functools.cache
def small_scene() -> tuple[list[NDArray[np.uint8]], list[tuple[float, ...]]]:
    scene = RenderedScene(160, 120)
    return [scene.frame(index) for index in range(12)], [tuple(scene.box(index)) for index in range(12)]
