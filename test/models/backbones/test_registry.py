"""A backbone is a part that can be exchanged: kinds, their stored sizes, and a network with one of another kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from trdimp_ros.models import NetworkConfig, ResNetConfig, TrDiMPNet
from trdimp_ros.models.backbones import Backbone, BackboneConfig, build_backbone, register_backbone, registry
from trdimp_ros.models.folding import fold_sequences
from trdimp_ros.testing.tiny import TINY_NETWORK, small_scene, tiny_config
from trdimp_ros.tracking import Tracker


@dataclass(frozen=True)
class PlainConfig(BackboneConfig):
    """Two convolutions, of which the first reaches stride 8 at once."""

    kind: ClassVar[str] = "plain"
    widths: tuple[int, int] = (6, 10)
    offset: float = 100.0


class Plain(Backbone):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.fine_channels, self.coarse_channels = config.widths
        self.offset, self.prepared = config.offset, False
        self.fine = nn.Sequential(nn.Conv2d(3, self.fine_channels, 8, 8), nn.BatchNorm2d(self.fine_channels))
        self.coarse = nn.Conv2d(self.fine_channels, self.coarse_channels, 2, 2)
        self.head = nn.Linear(3, 3)

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        return image - self.offset

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fine = self.fine(image)
        return fine, self.coarse(fine)

    def prepare_for_inference(self) -> None:
        del self.head
        fold_sequences(self)
        self.prepared = True


@pytest.fixture
def plain(monkeypatch):
    monkeypatch.setattr(registry, "_KINDS", dict(registry._KINDS))
    register_backbone(PlainConfig, Plain)


def test_sizes_of_every_kind_survive_being_stored(plain):
    for backbone in (TINY_NETWORK.backbone, ResNetConfig(), PlainConfig((4, 5), 1.5)):
        config = NetworkConfig(backbone=backbone, feature_channels=7)
        assert json.loads(config.to_json())["backbone"]["kind"] == backbone.kind
        assert NetworkConfig.from_json(config.to_json()) == config


def test_an_architecture_without_a_kind_is_a_resnet():
    fields = json.loads(TINY_NETWORK.to_json())
    del fields["backbone"]["kind"]
    assert NetworkConfig.from_json(json.dumps(fields)) == TINY_NETWORK


@pytest.mark.parametrize("kind", ["vgg", 3, None, ["resnet"], {}])
def test_an_unknown_kind_is_refused_with_the_known_ones(kind):
    fields = json.loads(TINY_NETWORK.to_json())
    fields["backbone"]["kind"] = kind
    with pytest.raises(ValueError, match=r"unknown backbone kind .* known are .*resnet"):
        NetworkConfig.from_json(json.dumps(fields))


def test_a_config_that_is_not_registered_builds_nothing():
    with pytest.raises(ValueError, match="unknown backbone kind 'plain'"):
        build_backbone(PlainConfig())


def test_a_kind_is_registered_once(plain):
    with pytest.raises(ValueError, match="'plain' already"):
        register_backbone(PlainConfig, Plain)


def test_a_tracker_uses_the_backbone_that_it_is_given(plain, monkeypatch):
    network = TrDiMPNet(NetworkConfig(PlainConfig(), feature_channels=8, key_channels=4, iou_channels=8)).eval()
    seen = []
    normalize = Plain.normalize
    monkeypatch.setattr(Plain, "normalize", lambda self, image: seen.append(self.prepared) or normalize(self, image))
    frames, boxes = small_scene()
    tracker = Tracker(network, tiny_config())
    tracker.initialize(frames[0], boxes[0])
    seen.clear()
    result = tracker.track(frames[1])
    assert seen == [True]
    assert np.isfinite(result.box).all()
    assert hasattr(network.backbone, "head"), "the network that was given is not changed"
