"""Two targets may not end on one object."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.exclusivity import displaced
from trdimp_ros.tracking.geometry import Box, intersection_over_union
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.target import TrackResult


def result(x: float, confidence: float, state: State = State.NORMAL) -> TrackResult:
    box = Box(x, 0.0, 10.0, 10.0)
    return TrackResult(box, confidence, state, box)


def test_where_boxes_coincide_the_lower_score_leaves():
    assert displaced({"a": result(0, 0.6), "b": result(2, 0.9), "c": result(30, 0.3)}, 0.5) == ["a"]


def test_of_equal_scores_the_first_stays():
    assert displaced({"a": result(0, 0.6), "b": result(0, 0.6)}, 0.5) == ["b"]


def test_a_target_that_is_not_found_stands_nowhere():
    assert displaced({"a": result(0, 0.1, State.NOT_FOUND), "b": result(0, 0.9)}, 0.5) == []


def test_boxes_that_touch_or_overlap_little_do_not_coincide():
    assert displaced({"a": result(0, 0.6), "b": result(5, 0.9)}, 0.5) == []


def test_a_displaced_target_displaces_nobody():
    """The one in the middle leaves; the third overlaps only with it and stays."""
    assert displaced({"a": result(0, 0.9), "b": result(3, 0.8), "c": result(6, 0.7)}, 0.5) == ["b"]


def test_one_that_was_lost_does_not_displace_one_that_is_seen():
    assert displaced({"seen": result(0, 0.5), "lost": result(0, 0.9)}, 0.5, ["lost"]) == ["lost"]


results = st.dictionaries(
    st.integers(0, 20), st.builds(result, st.floats(0, 40), st.floats(0, 2), st.sampled_from(State)), max_size=12
)


@given(results, st.floats(0.05, 0.95))
def test_those_who_stay_are_apart_and_everyone_who_leaves_has_a_better_one_there(found, most):
    leaving = displaced(found, most)
    staying = [name for name in found if found[name].found and name not in leaving]
    for one in staying:
        for other in staying:
            if one != other:
                assert intersection_over_union(found[one].box, found[other].box) <= most
    for name in leaving:
        assert any(
            intersection_over_union(found[name].box, found[other].box) > most
            and found[other].confidence >= found[name].confidence
            for other in staying
        )
