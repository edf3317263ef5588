"""A frozen backbone gives the features that the network's own does, whatever computes it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.backbones import EfficientNetLite0Config
from trdimp_ros.testing.tiny import TINY_NETWORK
from trdimp_ros.training.frozen_backbone import CHUNK, COMPILED_CHUNK, FrozenBackbone

INSTALLED = importlib.util.find_spec("openvino") is not None
ENGINES = ["torch", pytest.param("openvino", marks=pytest.mark.skipif(not INSTALLED, reason="openvino is optional"))]


def network(seed: int) -> TrDiMPNet:
    torch.manual_seed(seed)
    return TrDiMPNet(replace(TINY_NETWORK, backbone=EfficientNetLite0Config())).eval()


def expected(source: TrDiMPNet, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        fine, coarse = source.backbone(source.backbone.normalize(images))
    return fine, coarse


@pytest.mark.parametrize("engine", ENGINES)
def test_features_are_those_of_the_network_in_chunks_that_do_not_divide_the_batch(engine):
    assert CHUNK <= COMPILED_CHUNK
    images = torch.rand(COMPILED_CHUNK + 3, 3, 64, 64) * 255
    first, second = network(0), network(1)
    frozen = FrozenBackbone(first, torch.float32, torch.channels_last, engine)
    for source in (first, second):
        frozen.renew(source)
        for features, wanted in zip(frozen(images), expected(source, images), strict=True):
            assert not features.requires_grad
            assert (features - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_an_engine_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"trdimp_ros\[fast\]"):
        FrozenBackbone(network(0), torch.float32, torch.channels_last, "openvino")
