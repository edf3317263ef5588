"""The size of partly hidden targets: laws of the trust in a size, and what a tracker makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking import preset
from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.occlusion import CLEAR as CLEAR_SHARE
from trdimp_ros.tracking.occlusion import RAMP, hold_size, size_trust, usual_confidence, wholly_seen
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.target import TargetState, TrackedTarget

CLEAR, BASE = np.array([20.0, 40.0], np.float32), np.array([10.0, 20.0], np.float32)
POSITION = np.zeros(2, np.float32)


def decision(height: float, width: float, state: State = State.NORMAL) -> FrameDecision:
    size = np.array([height, width], np.float32)
    scale = np.float32(np.sqrt(np.prod(size) / np.prod(BASE)))
    return FrameDecision(0, state, 0, 0.5, POSITION, size, scale, POSITION)


shares = st.floats(0.05, 1.0)
confidences = st.floats(0.0, 2.0)


@given(confidences, confidences, st.floats(0.1, 2.0), shares)
def test_a_surer_target_is_believed_no_less(one, other, usual, share):
    low, high = sorted((one, other))
    assert 0 <= size_trust(low, usual, share) <= size_trust(high, usual, share) <= 1


@given(confidences, st.floats(0.1, 2.0))
def test_off_believes_everything(confidence, usual):
    assert size_trust(confidence, usual, 0.0) == 1
    assert size_trust(confidence, 0.0, 0.5) == 1


def test_the_ramp_begins_at_the_share():
    assert size_trust(0.6 * 0.8, 0.8, 0.6) == pytest.approx(0, abs=1e-9)
    assert size_trust((0.6 + RAMP / 2) * 0.8, 0.8, 0.6) == pytest.approx(0.5)
    assert size_trust((0.6 + RAMP) * 0.8, 0.8, 0.6) == pytest.approx(1)


@given(st.floats(1, 500), st.floats(1, 500), st.floats(0, 1))
def test_a_held_size_lies_between_the_two(height, width, trust):
    held = hold_size(decision(height, width), trust, CLEAR, BASE)
    low, high = np.minimum(CLEAR, (height, width)), np.maximum(CLEAR, (height, width))
    assert (held.size >= low * (1 - 1e-4)).all()
    assert (held.size <= high * (1 + 1e-4)).all()
    assert float(held.scale) == pytest.approx(float(np.sqrt(np.prod(held.size) / np.prod(BASE))), rel=1e-5)


def test_the_ends_are_the_clear_size_and_the_one_found():
    found = decision(5, 10)
    assert hold_size(found, 1.0, CLEAR, BASE) is found
    assert hold_size(found, 0.0, CLEAR, BASE).size.tolist() == CLEAR.tolist()
    lost = found._replace(state=State.NOT_FOUND)
    assert hold_size(lost, 0.0, CLEAR, BASE) is lost


def test_only_what_is_seen_as_usual_is_wholly_seen():
    assert wholly_seen(CLEAR_SHARE * 0.9, 0.9, 0.45)
    assert not wholly_seen(0.99 * CLEAR_SHARE * 0.9, 0.9, 0.45)
    assert wholly_seen(0.1, 0.9, 0.0), "off"
    assert wholly_seen(0.1, 0.0, 0.45), "the first image"


def test_the_usual_confidence_follows_slowly():
    assert usual_confidence(0.0, 0.8) == 0.8
    assert 0.78 < usual_confidence(0.8, 0.4) < 0.8


def track_decisions(share: float, found: list[tuple[float, float]]) -> list[float]:
    """The heights of a target's boxes after frames of these confidences and found heights; twice as wide as high."""
    config = replace(preset("compact"), occlusion_share=share, clear_view_threshold=0.3)
    size, scale = np.array([40.0, 80.0], np.float32), np.float32(4.0)
    state = TargetState(POSITION, size, scale, BASE, clear_size=size, clear_scale=scale)
    target = TrackedTarget("a", state, RandomSource(0))
    heights = []
    for confidence, height in found:
        seen = decision(height, 2 * height)._replace(confidence=confidence)
        result = target.apply(seen, [(0, 0, 100, 100)], torch.zeros(1), config)
        assert state.scale == pytest.approx(float(np.sqrt(np.prod(state.size) / np.prod(BASE))), rel=1e-5)
        heights.append(result.box.h)
    return heights


def test_a_target_that_goes_behind_something_keeps_its_size():
    hiding = [(0.8, 40.0)] * 3 + [(0.3, 20.0), (0.2, 8.0), (0.25, 10.0)]
    assert track_decisions(0.6, hiding) == pytest.approx([40.0] * 6)
    assert track_decisions(0.0, hiding) == pytest.approx([height for _, height in hiding])


def test_a_target_that_comes_nearer_grows():
    nearing = [(0.8, 40.0 * 1.05**index) for index in range(20)]
    assert track_decisions(0.6, nearing) == pytest.approx([height for _, height in nearing])


def test_a_target_that_has_changed_for_good_is_believed_again():
    """What is usual follows what is seen."""
    heights = track_decisions(0.6, [(1.0, 40.0)] + [(0.55, 30.0)] * 200)
    assert heights[1] == pytest.approx(40.0)
    assert heights[-1] == pytest.approx(30.0)


def test_a_target_that_goes_behind_something_is_remembered_whole():
    """Its box narrows while its confidence falls: what it is looked for with is its last whole size."""
    config = replace(preset("compact"), clear_view_threshold=0.3)
    size, scale = np.array([40.0, 80.0], np.float32), np.float32(4.0)
    state = TargetState(POSITION, size, scale, BASE, clear_size=size, clear_scale=scale)
    target = TrackedTarget("a", state, RandomSource(0))
    for confidence, width in ((0.9, 80.0), (0.9, 78.0), (0.65, 60.0), (0.6, 45.0)):
        found = decision(40.0, width)._replace(confidence=confidence)
        target.apply(found, [(0, 0, 256, 256)], torch.zeros(1), config)
    assert target.state.size[1] < 60
    assert target.state.clear_size.tolist() == [40.0, 78.0]
