"""What a detector's boxes are: tracked targets, lost ones, or something new; never two of them at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.sessions.candidates import (
    DOUBTFUL,
    MOST_QUESTIONS,
    Candidate,
    HandOffSettings,
    KnownTarget,
    hand_off,
    sensible,
)
from trdimp_ros.tracking import Box

ALL, IDLE, LOST = (HandOffSettings(auto_init=mode) for mode in ("all", "idle", "lost"))


def seen_at(x: float, label: str = "cup", score: float = 0.9) -> Candidate:
    return Candidate(Box(x, 0, 10, 10), label, score)


def target(name: str, x: float, lost: bool = False, label: str = "cup") -> KnownTarget:
    return KnownTarget(name, label, Box(x, 0, 10, 10), lost)


def alike(table: dict[tuple[str, float], float]):
    return lambda pairs: [table.get((name, box.x), 0.0) for name, box in pairs]


NOTHING_ALIKE = alike({})


def test_off_does_nothing():
    assert hand_off([seen_at(0)], [], HandOffSettings(), NOTHING_ALIKE, 4) == hand_off([], [], ALL, NOTHING_ALIKE, 4)


def test_a_candidate_on_a_tracked_target_is_that_target():
    result = hand_off([seen_at(2), seen_at(50)], [target("a", 0)], ALL, NOTHING_ALIKE, 4)
    assert result.tracked == (("a", seen_at(2)),)
    assert result.new == (seen_at(50),)


def test_a_second_box_on_a_tracked_target_starts_nothing():
    near = Candidate(Box(4, 0, 10, 10), "cup", 0.9)
    result = hand_off([seen_at(0), near], [target("a", 0)], ALL, NOTHING_ALIKE, 4)
    assert result.tracked == (("a", seen_at(0)),)
    assert result.new == ()


def test_a_lost_target_is_rescued_by_the_candidate_that_its_filter_knows():
    targets = [target("a", 0, lost=True), target("b", 0, lost=True)]
    likeness = alike({("a", 50): 1.2, ("a", 90): 1.1, ("b", 50): 1.3})
    result = hand_off([seen_at(50), seen_at(90)], targets, LOST, likeness, 4)
    assert set(result.rescued) == {("a", seen_at(90)), ("b", seen_at(50))}
    assert result.new == ()


def test_what_its_filter_does_not_know_is_not_the_lost_target_but_something_new():
    result = hand_off([seen_at(50)], [target("a", 0, lost=True)], ALL, alike({("a", 50): 0.3}), 4)
    assert result.rescued == ()
    assert result.new == (seen_at(50),)


def test_what_may_be_a_lost_target_is_neither_it_nor_a_new_one():
    result = hand_off([seen_at(50)], [target("a", 0, lost=True)], ALL, alike({("a", 50): DOUBTFUL}), 4)
    assert result.rescued == result.new == ()


def test_another_class_is_not_the_lost_target():
    likeness = alike({("a", 50): 2.0})
    assert hand_off([seen_at(50, "dog")], [target("a", 0, True, "cup")], LOST, likeness, 4).rescued == ()
    unlabelled = target("a", 0, True, "target")
    assert hand_off([seen_at(50, "dog")], [unlabelled], LOST, likeness, 4).rescued == (("a", seen_at(50, "dog")),)


@pytest.mark.parametrize(
    ("settings", "targets", "room", "started"),
    [(ALL, [], 8, 3), (ALL, [], 2, 2), (IDLE, [], 8, 1), (IDLE, [target("a", 500)], 8, 0), (LOST, [], 8, 0)],
)
def test_how_many_are_started(settings, targets, room, started):
    candidates = [seen_at(50, score=0.7), seen_at(70, score=0.9), seen_at(90, score=0.8)]
    new = hand_off(candidates, targets, settings, NOTHING_ALIKE, room).new
    assert [candidate.box.x for candidate in new] == [70, 90, 50][:started]


def test_a_lost_target_keeps_an_idle_session_from_starting_another_one():
    assert hand_off([seen_at(50)], [target("a", 0, lost=True)], IDLE, NOTHING_ALIKE, 8).new == ()


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param(seen_at(0, "dog"), id="another class"),
        pytest.param(seen_at(0, score=0.4), id="a low score"),
        pytest.param(Candidate(Box(0, 0, 0, 10), "cup"), id="no area"),
        pytest.param(Candidate(Box(float("nan"), 0, 10, 10), "cup"), id="no number"),
        pytest.param(Candidate(Box(0, 0, 10, 10), "cup", float("nan")), id="a score that is no number"),
    ],
)
def test_what_does_not_count(candidate):
    settings = HandOffSettings(auto_init="all", classes="cup, bottle", min_score=0.5)
    assert sensible([candidate], settings) == []
    assert sensible([seen_at(0)], settings) == [seen_at(0)]


def test_two_boxes_of_one_object_count_once():
    assert sensible([seen_at(0, score=0.6), seen_at(1, score=0.8)], ALL) == [seen_at(1, score=0.8)]


def test_a_crowd_does_not_cost_more_than_so_many_questions():
    asked = []

    def likeness(pairs) -> list[float]:
        asked.extend(pairs)
        return [0.0] * len(pairs)

    targets = [target(str(index), 0, lost=True) for index in range(32)]
    hand_off([seen_at(50 + 20 * index) for index in range(500)], targets, ALL, likeness, 0)
    assert len(asked) == MOST_QUESTIONS


def test_settings_are_checked():
    with pytest.raises(ValueError, match="auto_init"):
        HandOffSettings(auto_init="sometimes")
    with pytest.raises(ValueError, match="min_score"):
        HandOffSettings(min_score=2.0)


places = st.lists(st.builds(seen_at, st.integers(0, 12).map(lambda step: 7.0 * step)), max_size=8)
known = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=6).map(
    lambda pairs: [target(str(index), 7.0 * step, lost) for index, (step, lost) in enumerate(pairs)]
)


@given(places, known, st.floats(0, 2), st.integers(0, 8))
def test_every_candidate_is_one_thing_and_every_target_gets_one_at_most(candidates, targets, likeness, room):
    result = hand_off(candidates, targets, ALL, lambda pairs: [likeness] * len(pairs), room)
    used = [candidate for _, candidate in result.tracked + result.rescued] + list(result.new)
    assert len({candidate.box.x for candidate in used}) == len(used)
    names = [name for name, _ in result.tracked + result.rescued]
    assert len(set(names)) == len(names)
    assert len(result.new) <= room
    lost = {one.id for one in targets if one.lost}
    assert {name for name, _ in result.rescued} <= lost
    assert not {name for name, _ in result.tracked} & lost
