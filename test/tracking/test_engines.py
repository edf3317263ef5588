"""The choice of an inference engine, and that OpenVINO computes what torch does."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
import torch

from trdimp_ros.checkpoints import bundled_network
from trdimp_ros.media.demo_scene import demo_scene
from trdimp_ros.models.feature_engine import TorchEngine
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.models.openvino_engine import OpenVinoEngine, OpenVinoThreads
from trdimp_ros.models.openvino_stage import CompiledStage
from trdimp_ros.models.transformer import EncodedMemory, Transformer
from trdimp_ros.testing.tiny import tiny_network
from trdimp_ros.tracking import LongTermTracker, preset
from trdimp_ros.tracking.devices import threads_in_use, use_threads
from trdimp_ros.tracking.engines import ENGINES, choose_engine, engine_name, share_threads

CPU = torch.device("cpu")
INSTALLED = importlib.util.find_spec("openvino") is not None
needs_openvino = pytest.mark.skipif(not INSTALLED, reason="the optional package openvino is not installed")


def test_torch_computes_everywhere():
    for device in (CPU, torch.device("cuda")):
        for precision in (torch.float32, torch.float16):
            assert choose_engine("torch", device, precision) is TorchEngine


def test_auto_is_openvino_only_where_it_is_installed_and_computes_the_same(monkeypatch):
    assert choose_engine("auto", CPU) is (OpenVinoEngine if INSTALLED else TorchEngine)
    assert choose_engine("auto", CPU, torch.bfloat16) is TorchEngine
    assert choose_engine("auto", torch.device("cuda")) is TorchEngine
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert choose_engine("auto", CPU) is TorchEngine
    with pytest.raises(ValueError, match=r"trdimp_ros\[fast\]"):
        choose_engine("openvino", CPU)


@pytest.mark.parametrize(
    ("name", "device", "precision", "words"),
    [
        ("tensorrt", "cpu", torch.float32, "unknown engine 'tensorrt'; use auto, torch, openvino"),
        ("openvino", "cuda", torch.float32, "not cuda and float32"),
        ("openvino", "cpu", torch.bfloat16, "not cpu and bfloat16"),
    ],
)
def test_what_cannot_compute_is_refused(name, device, precision, words):
    with pytest.raises(ValueError, match=words):
        choose_engine(name, torch.device(device), precision)


def test_an_engine_has_the_name_under_which_it_is_chosen():
    for name in set(ENGINES) - {"auto"}:
        if name == "torch" or INSTALLED:
            assert engine_name(choose_engine(name, CPU)) == name
            assert engine_name(share_threads(choose_engine(name, CPU), 0)) == name


def test_threads_go_to_whoever_computes():
    before = threads_in_use()
    try:
        assert share_threads(TorchEngine, before + 1) is TorchEngine
        assert torch.get_num_threads() == before + 1
        assert share_threads(OpenVinoEngine, before + 1) == OpenVinoThreads(before + 1)
        assert torch.get_num_threads() == 1
        assert threads_in_use() == before + 1
    finally:
        use_threads(before)


@needs_openvino
def test_beside_openvino_torch_has_one_thread_to_locate_and_all_to_learn(monkeypatch):
    scene, before = demo_scene(320, 240), threads_in_use()
    seen = {}
    try:
        tracker = LongTermTracker(bundled_network()[0], preset("compact"), 1, engine=share_threads(OpenVinoEngine, 3))
        monkeypatch.setattr(tracker, "stage", lambda stage: seen.setdefault(stage, torch.get_num_threads()))
        tracker.add(0, scene.frame(0), scene.box(0))
        tracker.track(scene.frame(1))
    finally:
        use_threads(before)
    assert (seen["compiled frame"], seen["filter memory"]) == (1, 3)


@needs_openvino
def test_everything_is_compiled_before_the_first_frame(monkeypatch):
    scene, compiled = demo_scene(320, 240), []
    compile_stage = CompiledStage._compile
    monkeypatch.setattr(CompiledStage, "_compile", lambda *given: compiled.append(given) or compile_stage(*given))
    tracker = LongTermTracker(bundled_network()[0], preset("compact"), 2, engine=OpenVinoEngine)
    for target in (0, 1):
        tracker.add(target, scene.frame(0), scene.box(0, target))
    assert compiled
    compiled.clear()
    for index in range(1, 7):
        tracker.track(scene.frame(index))
    assert not compiled


def encoded(transformer: Transformer, tokens: torch.Tensor, generator: torch.Generator) -> EncodedMemory:
    """Two template frames, the same for all images."""
    frames = tokens[:1, None].expand(-1, 2, -1, -1) + torch.rand(1, 2, *tokens.shape[1:], generator=generator)
    return transformer.prepare(transformer.encode(frames), torch.rand(frames.shape[:3], generator=generator))


@needs_openvino
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("make", [lambda: bundled_network()[0], tiny_network], ids=["efficientnet", "resnet"])
def test_openvino_computes_the_features_that_torch_does(make, images):
    network = make()
    engines = TorchEngine, OpenVinoEngine
    ours, theirs = (prepare_for_inference(network, CPU, engine=engine).engine for engine in engines)
    generator = torch.Generator().manual_seed(0)
    pictures = 255 * torch.rand(images, 3, 96, 96, generator=generator)
    with torch.inference_mode():
        fine, coarse = ours.backbone(pictures)
        for one, other in zip((fine, coarse), theirs.backbone(pictures), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)
        pairs = [(ours.classification_feature(coarse), theirs.classification_feature(coarse))]
        tokens = pairs[0][0].flatten(1, 2)
        memory = encoded(network.classifier.transformer, tokens, generator)
        pairs.append((ours.decode(tokens, memory), theirs.decode(tokens, memory)))
        pairs += zip(ours.box_features(fine, coarse), theirs.box_features(fine, coarse), strict=True)
        if network.direct_box_head is not None:
            feature = ours.direct_feature(fine, coarse)
            pairs.append((feature, theirs.direct_feature(fine, coarse)))
            boxes = torch.tensor([[30.0, 30.0, 40.0, 30.0]]).repeat(images, 1)
            reference = network.direct_box_head.reference(feature, boxes)
            pairs.append((ours.direct_boxes(reference, feature), theirs.direct_boxes(reference, feature)))
    for one, other in pairs:
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)


@needs_openvino
def test_openvino_tracks_as_torch_does():
    """Two targets; a third of a pixel is what rounding may become in twelve frames of learning."""
    scene, network = demo_scene(320, 240), bundled_network()[0]
    results = []
    for name in ("torch", "openvino"):
        tracker = LongTermTracker(network, preset("compact"), 2, engine=choose_engine(name, CPU))
        for target in (0, 1):
            tracker.add(target, scene.frame(0), scene.box(0, target))
        results.append([tracker.track(scene.frame(index)) for index in range(1, 13)])
    for one, other in zip(*results, strict=True):
        for target in (0, 1):
            assert np.allclose(one[target].box, other[target].box, atol=0.3)
            assert one[target].state == other[target].state
            assert one[target].confidence == pytest.approx(other[target].confidence, abs=0.02)


@needs_openvino
def test_a_network_without_direct_head_or_on_another_device_is_refused():
    engine = prepare_for_inference(tiny_network(), CPU, engine=OpenVinoEngine).engine
    with pytest.raises(ValueError, match="none: use iou"):
        engine.direct_feature(torch.zeros(1, 8, 8, 8), torch.zeros(1, 8, 4, 4))
    with pytest.raises(ValueError, match="use the engine torch"):
        prepare_for_inference(tiny_network(), CPU, torch.bfloat16, OpenVinoEngine)


@needs_openvino
def test_openvino_does_not_report_how_it_is_used():
    """Its telemetry package is never loaded: a robot does not tell its maker's supplier that it has started."""
    words = "import sys; from trdimp_ros.models.openvino_stage import import_openvino as load; load(); "
    words += "print(sys.modules.get('openvino_telemetry'))"
    result = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "None"


SIGNAL_AFTERWARDS = """
import gc, signal, threading
from trdimp_ros.checkpoints import bundled_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.models.openvino_engine import OpenVinoEngine
from trdimp_ros.tracking import Tracker, preset

scene = RenderedScene()
tracker = Tracker(bundled_network()[0], preset("compact"), engine=OpenVinoEngine)
tracker.initialize(scene.frame(0), scene.box(0))
tracker.track(scene.frame(1))
del tracker
gc.collect()
signal.signal(signal.SIGTERM, lambda number, frame: print("handled"))
signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
"""


@needs_openvino
def test_a_signal_is_handled_after_the_last_tracker_has_gone():
    """As when a node was cleaned up: OpenVINO's own stack for signals must outlive the trackers."""
    words = [sys.executable, "-c", SIGNAL_AFTERWARDS]
    result = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True, timeout=120)
    assert (result.returncode, result.stdout.strip()) == (0, "handled")
