"""What an engine compiles as one piece is what is computed stage by stage: frames, and updates of the filter."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.feature_engine import TorchEngine
from trdimp_ros.models.openvino_engine import OpenVinoEngine
from trdimp_ros.models.openvino_stage import CompiledStage
from trdimp_ros.testing.tiny import TINY_NETWORK, small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import MultiTracker, State
from trdimp_ros.tracking.compiled_steps import CompiledUpdate
from trdimp_ros.tracking.localization import Rule

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the optional package openvino is not installed"
)
FRAMES, BOXES = small_scene()
DIRECT = {"box_method": "direct"}
BY_SCALE = {"use_iou_net": False, "scale_factors": (0.9, 1.0, 1.1)}


@pytest.fixture(scope="module")
def network() -> TrDiMPNet:
    torch.manual_seed(3)
    made = TrDiMPNet(replace(TINY_NETWORK, direct_channels=8)).eval()
    made.load_state_dict(tiny_network().state_dict(), strict=False)
    with torch.no_grad():  # so that boxes depend on what is seen, and not on the layer's bias alone
        made.direct_box_head.output.weight.mul_(1000.0)
    return made


def tracker_of(network, changes, targets=1, whole=True, engine=OpenVinoEngine) -> MultiTracker:
    tracker = MultiTracker(network, tiny_config(**changes), targets, graphs=whole, engine=engine)
    for target in range(targets):
        tracker.add(target, FRAMES[0], BOXES[0])
    return tracker


def stages_of(tracker: MultiTracker, frame: np.ndarray) -> set[str]:
    seen: set[str] = set()
    tracker.stage = seen.add
    tracker.locate(frame)
    return seen


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("changes", [DIRECT, BY_SCALE], ids=["direct", "by_scale"])
def test_it_is_the_frame_that_is_computed_stage_by_stage(network, changes, targets):
    """Each frame is located from the same place and memories by both."""
    changes = changes | {"train_skipping": 2}
    whole, staged = (tracker_of(network, changes, targets, whole=one) for one in (True, False))
    first = staged.filters(0).clone()
    for frame in FRAMES[1:6]:
        located = [tracker.locate(frame) for tracker in (whole, staged)]
        for target in range(targets):
            one, other = (results[target] for results in located)
            assert tuple(one.box) == pytest.approx(tuple(other.box), abs=1e-3)
            assert (one.state, one.confidence) == (other.state, pytest.approx(other.confidence, abs=1e-5))
            assert np.allclose(whole.score_map(target), staged.score_map(target), atol=1e-5)
            filters = []
            for tracker in (whole, staged):
                tracker.learn([target])
                filters.append(tracker.filters(target))
            assert torch.allclose(*filters, atol=1e-5)
            # From the same again: rounding must not add up.
            whole.set_target(target, replace(staged.target(target)))
    assert (staged.filters(0) - first).abs().max() > 100 * (staged.filters(0) - whole.filters(0)).abs().max()


@pytest.mark.parametrize("changes", [DIRECT, BY_SCALE], ids=["direct", "by_scale"])
def test_every_rule_decides_as_stage_by_stage(network, changes):
    """Whatever the scores and thresholds are, at the image's border and far outside as well."""
    whole, staged = (tracker_of(network, changes, whole=one) for one in (True, False))
    random = np.random.default_rng(0)
    start, usual, rules = replace(staged.target(0)), staged.locate(FRAMES[1])[0].confidence, set()
    for _ in range(150):
        # Each in most cases below what is usual, in some above.
        missing, uncertain, hard = (float(one) for one in usual * random.uniform(-1.2, 1.3, 3))
        config = tiny_config(
            **changes,
            target_not_found_threshold=missing,
            uncertain_threshold=max(uncertain, 0),
            hard_sample_threshold=max(hard, 0),
            distractor_threshold=random.uniform(0, 1.5),
            hard_negative_threshold=random.uniform(0, 1.5),
            target_neighborhood_scale=random.uniform(0.1, 4),
            displacement_scale=random.uniform(0, 1),
            maximal_aspect_ratio=random.uniform(1, 4),
        )
        noise = random.integers(0, 256, FRAMES[0].shape, np.uint8) if random.random() < 0.5 else FRAMES[3]
        moved = random.uniform(-30, 190, 2).astype(np.float32)
        size = (start.size * random.uniform(0.3, 3, 2)).astype(np.float32)
        decisions = []
        for tracker in (whole, staged):
            tracker.config = config
            tracker.set_target(0, replace(start, position=moved.copy(), size=size.copy()))
            tracker.locate(noise)
            decisions.append(tracker._tracked[0].located.decision)
        one, other = decisions
        assert (one.rule, one.state, one.scale_index) == (other.rule, other.state, other.scale_index)
        for name in ("confidence", "position", "size", "scale", "learn_position"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-3), name
        rules.add(one.rule)
    assert rules == set(Rule)


def test_a_parameter_that_shapes_the_frame_can_change_at_once(network, monkeypatch):
    """Without waiting for a compilation: stage by stage, and in one piece again when it is set back."""
    tracker = tracker_of(network, DIRECT)
    assert "compiled frame" in stages_of(tracker, FRAMES[1])
    monkeypatch.setattr("trdimp_ros.models.openvino_stage._compiled", None)
    tracker.config = tiny_config(**DIRECT, advanced_localization=False)
    stages = stages_of(tracker, FRAMES[2])
    assert "compiled frame" not in stages
    assert "refinement" in stages
    assert tracker.track(FRAMES[3])[0].state == State.NORMAL
    tracker.config = tiny_config(**DIRECT)
    assert "compiled frame" in stages_of(tracker, FRAMES[4])


@pytest.mark.parametrize(
    ("changes", "whole", "engine"),
    [
        ({"box_method": "iou"}, True, OpenVinoEngine),
        ({"box_method": "direct_iou"}, True, OpenVinoEngine),
        (DIRECT, False, OpenVinoEngine),
        (DIRECT, True, TorchEngine),
    ],
)
def test_what_is_not_compiled_goes_stage_by_stage(network, changes, whole, engine):
    stages = stages_of(tracker_of(network, changes, whole=whole, engine=engine), FRAMES[1])
    assert "compiled frame" not in stages
    assert {"backbone", "decoder", "scores", "refinement"} <= stages


def test_updates_are_compiled_for_the_usual_numbers_of_steps(network, monkeypatch):
    """And another number, chosen while it runs, does not wait for a compilation."""
    changes = DIRECT | {"train_skipping": 1, "net_opt_update_iter": 3, "hard_negative_threshold": 100.0}
    tracker = tracker_of(network, changes)
    calls: list[int] = []
    call = CompiledUpdate.__call__
    monkeypatch.setattr(CompiledUpdate, "__call__", lambda *given: calls.append(1) or call(*given))
    monkeypatch.setattr("trdimp_ros.models.openvino_stage._compiled", None)
    before = tracker.filters(0).clone()
    tracker.track(FRAMES[1])
    assert len(calls) == 1
    compiled = tracker.filters(0).clone()
    assert not torch.equal(compiled, before)
    tracker.config = tiny_config(**(changes | {"net_opt_update_iter": 4}))
    tracker.track(FRAMES[2])
    assert len(calls) == 1
    assert not torch.equal(tracker.filters(0), compiled)


@pytest.mark.parametrize("refused", ["frame", "filter update"])
def test_an_engine_that_cannot_compile_a_frame_computes_it_in_pieces(network, monkeypatch, caplog, refused):
    """As OpenVINO 2024.1, which lacks an operation."""
    compile_stage = CompiledStage._compile

    def refuse(stage, inputs):
        if stage._name == refused:
            raise ValueError(f"engine openvino cannot compute the {refused}")
        return compile_stage(stage, inputs)

    monkeypatch.setattr(CompiledStage, "_compile", refuse)
    tracker = tracker_of(network, DIRECT)
    assert "frames are computed in pieces" in caplog.text
    assert f"cannot compute the {refused}" in caplog.text
    assert {"backbone", "refinement"} <= stages_of(tracker, FRAMES[1])
    tracker.learn()


def test_each_of_several_targets_has_its_own_reference(network):
    """Also where not all of them are located, and after one has gone."""
    whole, staged = (tracker_of(network, DIRECT, targets=3, whole=one) for one in (True, False))
    for tracker in (whole, staged):
        gains, _ = tracker._steps.box_stage.references
        gains.copy_(torch.tensor([[-20.0], [1.0], [20.0]]).expand_as(gains))
    widths = {}
    for names in ([0, 1, 2], [1, 2], [2], [0, 2]):
        located = [tracker.locate(FRAMES[2], names) for tracker in (whole, staged)]
        for target in names:
            one, other = (results[target] for results in located)
            assert tuple(one.box) == pytest.approx(tuple(other.box), abs=1e-3)
            widths.setdefault(target, one.box.w)
    assert len({round(width, 1) for width in widths.values()}) == 3
    for tracker in (whole, staged):
        tracker.remove(0)
    located = [tracker.locate(FRAMES[3]) for tracker in (whole, staged)]
    for target in (1, 2):
        assert tuple(located[0][target].box) == pytest.approx(tuple(located[1][target].box), abs=1e-3)


def test_numbers_that_are_none_are_a_target_lost(network):
    tracker = tracker_of(network, DIRECT)
    before = tracker.target(0).position.copy()
    tracker._steps.filters.fill_(torch.nan)
    assert "compiled frame" in stages_of(tracker, FRAMES[1])
    assert tracker.track(FRAMES[2])[0].state == State.NOT_FOUND
    assert np.array_equal(tracker.target(0).position, before)
