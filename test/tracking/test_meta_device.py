"""The branch that a GPU takes, on every machine.

Tensors of torch's ``meta`` device have shapes and dtypes but no numbers. Like a GPU it is a device of its own: what
comes from the host must be uploaded, and an operation on tensors of two devices raises. The only thing replaced is the
copy of the decisions to the host, since there are no numbers to copy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.tiny import TINY_NETWORK, small_scene, tiny_network
from trdimp_ros.tracking import (
    PRESETS,
    LongTermTracker,
    MultiTracker,
    State,
    TrackerConfig,
    image_search,
    multi_tracker,
)
from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.localization import Rule

FRAMES, BOXES = small_scene()
META = torch.device("meta")

MORE = {
    "scales without boxes": replace(PRESETS["trdimp_vot"], use_iou_net=False, scale_factors=(1.0, 1.05, 0.95)),
    "spread learning, all references": replace(PRESETS["trdimp"], spread_learning=True, iounet_augmentation=True),
    "plain localisation": replace(
        PRESETS["compact"],
        box_method="iou",
        advanced_localization=False,
        update_scale_when_uncertain=False,
        use_iounet_pos_for_learning=False,
        box_refinement_space="default",
    ),
}
PRECISIONS = [torch.float32, torch.float16, torch.bfloat16]


def network_for(config: TrackerConfig) -> TrDiMPNet:
    """The tiny network, with a direct box head where the configuration uses one."""
    if config.box_method == "iou":
        return tiny_network()
    return TrDiMPNet(replace(TINY_NETWORK, direct_channels=8)).eval()


class DecidedElsewhere:
    """Stands for reading the decisions: every target is seen where it was, in the states given one after another."""

    def __init__(self, states: list[State]) -> None:
        self._states = iter(states)

    def __call__(self, packed: torch.Tensor) -> list[FrameDecision]:
        assert packed.device == META
        assert packed.dtype == torch.float32
        state = next(self._states)
        return [
            FrameDecision(
                rule=int(Rule.NORMAL),
                state=state,
                scale_index=0,
                confidence=0.9,
                position=np.array([40, 60], np.float32),
                size=np.array([20, 25], np.float32),
                scale=np.float32(0.5),
                learn_position=np.array([40, 60], np.float32),
            )
            for _ in range(len(packed))
        ]


def small(config: TrackerConfig) -> TrackerConfig:
    """The same branches in less time: fewer views and steps, and memories that are full after the first frames."""
    config = replace(
        config,
        image_sample_size=64,
        augmentation_shifts=config.augmentation_shifts[:1],
        augmentation_blurs=config.augmentation_blurs[:1],
        augmentation_rotations=config.augmentation_rotations[:1],
        augmentation_dropout_samples=1,
        net_opt_iter=min(config.net_opt_iter, 1),
        box_refinement_iter=min(config.box_refinement_iter, 2),
        train_skipping=2,
        transformer_skipping=min(config.transformer_skipping, 1),
    )
    samples = config.initial_samples
    return replace(config, sample_memory_size=samples + 1, transformer_memory_size=samples + 1)


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("config", [*PRESETS.values(), *MORE.values()], ids=[*PRESETS, *MORE])
def test_a_tracker_runs_where_the_device_is_not_the_host(monkeypatch, config, dtype, targets):
    monkeypatch.setattr(
        multi_tracker, "read_decisions", DecidedElsewhere([State.NORMAL, State.HARD_NEGATIVE, *[State.NORMAL] * 20])
    )
    tracker_config = small(config)
    tracker = MultiTracker(network_for(config), tracker_config, targets, META, dtype)
    stages: set[str] = set()
    tracker.stage = stages.add
    for name in range(targets):
        tracker.add(name, FRAMES[0], BOXES[0])
    for frame in FRAMES[1:4]:
        assert len(tracker.track(frame)) == targets
    assert {"crop", "backbone", "decoder", "filter memory"} <= stages
    assert ("filter update" in stages) == bool(config.net_opt_update_iter)
    assert ("template memory" in stages) == ("retiring template" in stages) == bool(config.transformer_skipping)
    assert ("refinement" in stages) == config.use_iou_net
    tracker.remove(0)
    assert len(tracker.track(FRAMES[6])) == targets - 1
    tracker.add("again", FRAMES[6], BOXES[6])
    last = tracker.names[-1]
    tracker.locate(FRAMES[7], [last])
    tracker.learn([last])
    results = tracker.track(FRAMES[8])
    assert len(results) == targets
    assert all(result.state == State.NORMAL for result in results.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("method", ["direct", "direct_iou"])
def test_the_direct_box_head_runs_where_the_device_is_not_the_host(monkeypatch, method, dtype):
    monkeypatch.setattr(multi_tracker, "read_decisions", DecidedElsewhere([State.NORMAL] * 20))
    config = replace(small(PRESETS["compact"]), box_method=method)
    tracker = MultiTracker(network_for(config), config, 2, META, dtype)
    for name in range(2):
        tracker.add(name, FRAMES[0], BOXES[0])
    assert len(tracker.track(FRAMES[1])) == 2
    tracker.remove(0)
    assert len(tracker.track(FRAMES[2])) == 1


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
@pytest.mark.parametrize("preset", ["compact", "trdimp"])
def test_the_search_for_lost_targets_runs_where_the_device_is_not_the_host(monkeypatch, preset, dtype):
    def nothing_stands_out(packed: torch.Tensor) -> np.ndarray:
        assert packed.device == META
        return np.zeros(packed.shape, np.float32)

    monkeypatch.setattr(multi_tracker, "read_decisions", DecidedElsewhere([State.NOT_FOUND] * 20))
    monkeypatch.setattr(image_search, "read_scores", nothing_stands_out)
    config = replace(
        small(PRESETS[preset]), reacquire_budget=3, reacquire_after=1, exclusivity_overlap=0.5, camera_motion="on"
    )
    tracker = LongTermTracker(network_for(config), config, 2, META, dtype)
    stages: list[str] = []
    tracker.stage = stages.append
    for name in range(2):
        tracker.add(name, FRAMES[0], BOXES[0])
    for frame in FRAMES[1:4]:
        tracker.track(frame)
    assert stages.count("search") == 3


def test_a_tensor_left_on_the_host_is_found():
    """What the tests above stand on: the meta device refuses what a GPU would refuse."""
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.zeros(3, device=META) + torch.zeros(3)
