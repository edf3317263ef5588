"""Long-term precision, recall and F: by their definition, by laws, by cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.evaluation.longterm import (
    LongTermTrack,
    f_measure,
    long_term_score,
    precision_recall,
    precision_recall_curve,
    recoveries,
)


def test_a_case_computed_by_hand():
    """Four frames: found well, found badly, missed, absent and wrongly reported."""
    track = LongTermTrack([0.8, 0.4, 0.0, 0.0], [0.9, 0.6, 0.1, 0.7], [True, True, True, False])
    precision, recall = precision_recall(track, np.array([0.1, 0.6, 0.7, 0.9, 1.0]))
    assert precision == pytest.approx([1.2 / 4, 1.2 / 3, 0.8 / 2, 0.8, 1.0])
    assert recall == pytest.approx([1.2 / 3, 1.2 / 3, 0.8 / 3, 0.8 / 3, 0.0])
    best = long_term_score([track])
    assert best.threshold == 0.6
    assert (best.precision, best.recall) == pytest.approx((0.4, 0.4))
    assert best.f == pytest.approx(0.4)


def test_sequences_are_averaged_before_f_is_taken():
    one = LongTermTrack([1.0, 1.0], [0.9, 0.9], [True, True])
    other = LongTermTrack([0.0, 0.0], [0.9, 0.9], [True, False])
    best = long_term_score([one, other])
    assert (best.precision, best.recall, best.f) == (0.5, 0.5, 0.5)


def test_a_tracker_that_never_sees_anything():
    nothing = LongTermTrack([0.0, 0.0], [float("-inf")] * 2, [True, False])
    assert long_term_score([nothing]).f == 0.0
    assert f_measure(np.zeros(1), np.zeros(1)) == [0.0]


@pytest.mark.parametrize("lengths", [(0, 0, 0), (2, 1, 2), (2, 2, 3)])
def test_lengths_must_agree(lengths):
    overlaps, confidences, present = lengths
    with pytest.raises(ValueError, match="as many"):
        LongTermTrack([0.0] * overlaps, [0.0] * confidences, [True] * present)


unit = st.floats(0, 1, allow_nan=False)
frames = st.lists(st.tuples(unit, unit, st.booleans()), min_size=1, max_size=30)


def track_of(frames: list[tuple[float, float, bool]]) -> LongTermTrack:
    overlaps = [overlap if present else 0.0 for overlap, _, present in frames]
    return LongTermTrack(overlaps, [one for _, one, _ in frames], [present for *_, present in frames])


@given(frames=frames, threshold=unit)
def test_the_definition(frames, threshold):
    track = track_of(frames)
    precision, recall = precision_recall(track, np.array([threshold]))
    believed = [overlap for overlap, sure in zip(track.overlaps, track.confidences, strict=True) if sure >= threshold]
    assert precision[0] == pytest.approx(sum(believed) / len(believed) if believed else 1.0)
    assert recall[0] == pytest.approx(sum(believed) / max(sum(track.present), 1))


@given(tracks=st.lists(frames.map(track_of), min_size=1, max_size=4))
def test_bounds_and_the_maximum(tracks):
    thresholds, precision, recall = precision_recall_curve(tracks)
    assert (np.diff(thresholds) > 0).all()
    assert (np.diff(recall) <= 1e-12).all(), "believing less cannot find more"
    for values in (precision, recall, f_measure(precision, recall)):
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    best = long_term_score(tracks)
    assert best.f == pytest.approx(f_measure(precision, recall).max())
    assert min(best.precision, best.recall) - 1e-12 <= best.f <= max(best.precision, best.recall) + 1e-12


@given(frames=frames)
def test_only_the_order_of_confidences_counts(frames):
    track = track_of(frames)
    stretched = LongTermTrack(track.overlaps, [3 * sure + 7 for sure in track.confidences], track.present)
    assert len(np.unique(track.confidences)) != len(np.unique(stretched.confidences)) or long_term_score(
        [stretched]
    ).f == pytest.approx(long_term_score([track]).f)


@given(present=st.lists(st.booleans(), min_size=1, max_size=30).filter(any))
def test_a_perfect_tracker_has_one_everywhere(present):
    track = LongTermTrack([float(flag) for flag in present], [float(flag) for flag in present], present)
    best = long_term_score([track])
    assert (best.precision, best.recall, best.f) == (1.0, 1.0, 1.0)


@given(overlaps=st.lists(unit, min_size=1, max_size=30))
def test_without_absence_and_confidence_it_is_the_mean_overlap(overlaps):
    best = long_term_score([LongTermTrack(overlaps, [1.0] * len(overlaps), [True] * len(overlaps))])
    assert best.f == pytest.approx(np.mean(overlaps), abs=1e-12)


@pytest.mark.parametrize(
    ("ious", "delays"),
    [
        ([1.0, 1.0], []),
        ([1.0, None], []),
        ([1.0, None, 0.1, 0.6, 0.2], [2]),
        ([1.0, None, 0.1, 0.4], [None]),
        ([1.0, None, 0.1, None, None, 0.9, None, 0.5], [None, 1, 1]),
    ],
)
def test_recoveries(ious, delays):
    assert recoveries(ious) == delays
