"""The appearance head: unit vectors, the same by every engine, and sharp enough in the bundled weights."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from trdimp_ros.checkpoints import bundled_network
from trdimp_ros.media.scene_script import SceneScript
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.appearance_head import DIMENSIONS, VIEW_SIDE
from trdimp_ros.models.feature_engine import TorchEngine
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.models.openvino_engine import OpenVinoEngine
from trdimp_ros.testing.tiny import TINY_NETWORK
from trdimp_ros.tracking import preset
from trdimp_ros.tracking.appearance_tracker import AppearanceTracker


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    return 255 * torch.rand(3, 3, VIEW_SIDE, VIEW_SIDE, generator=torch.Generator().manual_seed(0))


def test_embeddings_are_unit_vectors(views):
    network = TrDiMPNet(replace(TINY_NETWORK, appearance_channels=8)).eval()
    with torch.no_grad():
        found = TorchEngine(network).embeddings(views)
    assert found.shape == (3, DIMENSIONS)
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is optional")
def test_openvino_gives_the_same(views):
    network, _ = bundled_network()
    device = torch.device("cpu")
    with torch.inference_mode():
        expected, found = (
            prepare_for_inference(network, device, engine=engine).engine.embeddings(views)
            for engine in (TorchEngine, OpenVinoEngine)
        )
    assert (found - expected).abs().max() < 1e-4


def test_half_precision_gives_nearly_the_same(views):
    network, _ = bundled_network()
    device = torch.device("cpu")
    with torch.inference_mode():
        expected, found = (
            prepare_for_inference(network, device, dtype).engine.embeddings(views)
            for dtype in (torch.float32, torch.bfloat16)
        )
    assert found.dtype == torch.float32
    assert (found * expected).sum(dim=1).min() > 0.98


def test_a_network_without_the_head_says_so(views):
    with pytest.raises(ValueError, match="no appearance head"):
        TorchEngine(TrDiMPNet(TINY_NETWORK).eval()).embeddings(views)


def test_the_bundled_head_tells_a_target_from_its_look_alike():
    """A look-alike whose texture is half the target's, seen at several places and sizes."""
    scene = ScriptedScene(SceneScript(frames=400, seed=7, targets=1, look_alikes=1, crossings=0))
    tracker = AppearanceTracker(bundled_network()[0], preset("compact"), 1)
    chosen = [index for index in range(0, 400, 25) if min(scene.visibility(index, number) for number in (0, 1)) > 0.99]
    assert len(chosen) >= 4
    own, other = (
        np.concatenate([tracker.embeddings(scene.frame(index), [scene.box(index, number)]) for index in chosen])
        for number in (0, 1)
    )
    assert (own @ own.T).min() > (own @ other.T).max() + 0.05
