"""The rules of losing and finding again: nothing counts before it has been verified."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.appearance import LEAST, LEAST_USUAL, MOST, SETTLED
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import box_at
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.reacquisition import Evidence, believable_size, is_candidate, judge
from trdimp_ros.tracking.returns import IMAGES, REFUSED, Returns
from trdimp_ros.tracking.similarity import Similarity, moved
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.whereabouts import AFTER_JUMP, LONGEST_DOUBT, Phase, Whereabouts

CONFIG = TrackerConfig(
    reacquire_budget=2, reacquire_after=3, reacquire_threshold=0.4, reacquire_share=0.5, reacquire_confirmations=3
)


def pair(first: float, second: float) -> np.ndarray:
    return np.array([first, second], np.float32)


IMAGE = (480, 640)

USUAL = 0.9
"""The confidence with which the targets are seen."""


def at(row: float = 50.0, column: float = 60.0, size: float = 20.0, frame_number: int = 7) -> TargetState:
    sizes = pair(size, size)
    scale = np.float32(0.5)
    return TargetState(pair(row, column), sizes, scale, pair(40, 40), pair(20, 20), scale, frame_number, USUAL)


def seen(state: State, confidence: float, where: TargetState) -> TrackResult:
    box = box_at(where.position, where.size)
    return TrackResult(box, confidence, state, box)


def told(whereabouts: Whereabouts, *images: tuple[State, float], where: TargetState | None = None) -> list[State]:
    where = where or at()
    return [
        judge(whereabouts, seen(state, confidence, where), Evidence(where, IMAGE), CONFIG)
        for state, confidence in images
    ]


def lost_target() -> Whereabouts:
    whereabouts = Whereabouts(at())
    told(whereabouts, (State.NORMAL, 0.9), *[(State.NOT_FOUND, 0.1)] * CONFIG.reacquire_after)
    assert whereabouts.phase is Phase.LOST
    return whereabouts


NOT_FOUND, UNCERTAIN, NORMAL = (State.NOT_FOUND, 0.1), (State.UNCERTAIN, 0.5), (State.NORMAL, 0.9)


def test_while_a_target_is_seen_the_trackers_word_stands():
    whereabouts = Whereabouts(at())
    images = [NORMAL, UNCERTAIN, NOT_FOUND, NORMAL, (State.HARD_NEGATIVE, 0.7), NOT_FOUND]
    assert told(whereabouts, *images) == [state for state, _ in images]
    assert whereabouts.phase is Phase.SEEN


def test_it_is_lost_when_it_was_not_found_for_some_images_in_a_row():
    whereabouts = Whereabouts(at())
    told(whereabouts, NORMAL, NOT_FOUND, NOT_FOUND, NORMAL, NOT_FOUND, NOT_FOUND)
    assert whereabouts.phase is Phase.SEEN
    told(whereabouts, NOT_FOUND)
    assert whereabouts.phase is Phase.LOST


def test_a_target_that_is_followed_in_doubt_is_lost_four_times_as_late():
    whereabouts = Whereabouts(at())
    told(whereabouts, NORMAL, *[UNCERTAIN] * 11)
    assert whereabouts.phase is Phase.SEEN
    told(whereabouts, UNCERTAIN)
    assert whereabouts.phase is Phase.LOST


@pytest.mark.parametrize(
    ("last", "found", "confidence", "left"),
    [
        (at(column=4), at(column=60), 0.4, True),
        (at(column=4), at(column=60), 0.8, False),  # as good as the target come back
        (at(column=4), at(column=20), 0.4, False),  # it may be the target
        (at(column=60), at(column=120), 0.4, False),  # it cannot have left unseen
        (at(row=475, column=60), at(row=420, column=60), 0.4, True),
    ],
)
def test_what_appears_elsewhere_when_a_target_has_left_by_the_edge_has_to_be_as_good_as_the_target(
    last, found, confidence, left
):
    whereabouts = Whereabouts(last)
    [state] = told(whereabouts, (State.NORMAL, confidence), where=found)
    assert state is (State.NOT_FOUND if left else State.NORMAL)
    assert whereabouts.phase is (Phase.LOST if left else Phase.SEEN)
    assert (whereabouts.last_fit.position == (last if left else found).position).all()


STRANGE_LOOKS, USUAL_LOOKS = 4.0, 0.8


def known_target() -> Whereabouts:
    """One whose looks are known well enough to call something strange."""
    whereabouts = Whereabouts(at())
    for _ in range(SETTLED):
        whereabouts.appearance.update(np.array([1.0, 0.0], np.float32))
    told(whereabouts, NORMAL)
    return whereabouts


def looked_at(whereabouts: Whereabouts, where: TargetState, unlikeness: float | None) -> State:
    return judge(whereabouts, seen(State.NORMAL, 0.9, where), Evidence(where, IMAGE, unlikeness), CONFIG)


def test_something_strange_that_has_left_the_targets_place_is_followed_in_doubt_and_not_trusted():
    whereabouts, elsewhere = known_target(), at(column=100)
    assert looked_at(whereabouts, elsewhere, STRANGE_LOOKS) is State.UNCERTAIN
    assert whereabouts.to_be_searched
    assert (whereabouts.last_fit.position == at().position).all()
    for _ in range(20):
        assert looked_at(whereabouts, elsewhere, STRANGE_LOOKS) is State.UNCERTAIN
    assert whereabouts.phase is Phase.SEEN, "following something in doubt is worth more than nothing"
    assert looked_at(whereabouts, elsewhere, None) is State.UNCERTAIN, "nobody has looked"
    assert looked_at(whereabouts, elsewhere, USUAL_LOOKS) is State.NORMAL
    assert not whereabouts.to_be_searched
    assert (whereabouts.last_fit.position == elsewhere.position).all()


def test_something_strange_in_the_targets_place_is_the_target_half_hidden():
    whereabouts = known_target()
    assert looked_at(whereabouts, at(column=62), STRANGE_LOOKS) is State.NORMAL
    assert not whereabouts.to_be_searched
    assert (whereabouts.last_fit.position == at().position).all(), "whoever hides it may move on"


def test_a_target_that_is_hardly_known_is_never_strange():
    whereabouts = Whereabouts(at())
    whereabouts.appearance.update(np.array([1.0, 0.0], np.float32))
    assert looked_at(whereabouts, at(column=100), STRANGE_LOOKS) is State.NORMAL


def test_what_stays_strange_for_long_is_the_target_changed_for_good():
    whereabouts = known_target()
    states = [looked_at(whereabouts, at(column=100), STRANGE_LOOKS) for _ in range(LONGEST_DOUBT + 1)]
    assert states == [State.UNCERTAIN] * LONGEST_DOUBT + [State.NORMAL]
    assert whereabouts.appearance.mean is None, "its looks are learned anew"


def test_doubt_ends_with_the_search():
    whereabouts, where = known_target(), at(column=100)
    assert looked_at(whereabouts, where, STRANGE_LOOKS) is State.UNCERTAIN
    for changes in ({"reacquire_budget": 0}, {"reacquire_looks": 0.0}):
        config, copy = dataclasses.replace(CONFIG, **changes), dataclasses.replace(whereabouts)
        assert judge(copy, seen(State.NORMAL, 0.9, where), Evidence(where, IMAGE), config) is State.NORMAL
        assert not copy.to_be_searched


def test_images_that_are_not_in_a_row_do_not_lose_a_target_in_doubt():
    whereabouts, where = known_target(), at(column=100)
    for _ in range(40):
        looked_at(whereabouts, where, STRANGE_LOOKS)
        told(whereabouts, UNCERTAIN, where=where)
    assert whereabouts.phase is Phase.SEEN


def test_a_target_that_is_lost_is_no_longer_astray():
    whereabouts = known_target()
    looked_at(whereabouts, at(column=100), STRANGE_LOOKS)
    assert (whereabouts.astray, whereabouts.to_be_searched) == (1, True)
    whereabouts.lose()
    assert (whereabouts.astray, whereabouts.to_be_searched) == (0, True)


def test_without_a_search_nothing_is_doubted():
    whereabouts, where = known_target(), at(column=100)
    config = dataclasses.replace(CONFIG, reacquire_budget=0)
    evidence = Evidence(where, IMAGE, STRANGE_LOOKS)
    assert judge(whereabouts, seen(State.NORMAL, 0.9, where), evidence, config) is State.NORMAL


def test_with_no_budget_nothing_is_ever_lost():
    whereabouts, where = Whereabouts(at()), at()
    config = TrackerConfig(reacquire_budget=0, reacquire_after=1)
    for _ in range(5):
        assert judge(whereabouts, seen(State.NOT_FOUND, 0.1, where), Evidence(where, IMAGE), config) is State.NOT_FOUND
    assert whereabouts.phase is Phase.SEEN


def test_a_lost_target_is_found_again_after_so_many_images_and_uncertain_until_then():
    whereabouts = lost_target()
    assert told(whereabouts, NORMAL, NORMAL, NORMAL) == [State.UNCERTAIN, State.UNCERTAIN, State.NORMAL]
    assert whereabouts.phase is Phase.SEEN
    assert whereabouts.images_unclear == 0


def judged(whereabouts: Whereabouts, confidence: float, unlikeness: float) -> State:
    result, evidence = seen(State.NORMAL, confidence, at()), Evidence(at(), IMAGE, unlikeness)
    return judge(whereabouts, result, evidence, CONFIG)


def test_what_looks_wrong_must_score_higher_to_be_the_target_again():
    enough, usual, wrong = CONFIG.reacquire_share * USUAL + 0.01, CONFIG.reacquire_looks, 9.0
    whereabouts = lost_target()
    assert judged(whereabouts, enough, usual) is State.UNCERTAIN
    assert whereabouts.phase is Phase.PROBATION
    assert judged(whereabouts, enough, wrong) is State.NOT_FOUND
    assert whereabouts.phase is Phase.LOST, "a look-alike must not keep the search waiting"
    assert judged(whereabouts, enough, wrong) is State.UNCERTAIN
    assert whereabouts.phase is Phase.LOST
    assert [judged(whereabouts, MOST * enough, wrong) for _ in range(3)][-1] is State.NORMAL


def test_what_looks_right_may_score_a_little_lower():
    share = (LEAST + 0.02) * CONFIG.reacquire_share * USUAL
    assert judged(lost_target(), share, unlikeness=0.1) is State.UNCERTAIN
    on_probation = lost_target()
    assert [judged(on_probation, share, unlikeness=0.1) for _ in range(3)][-1] is State.NORMAL
    never = lost_target()
    assert State.NORMAL not in [judged(never, share, CONFIG.reacquire_looks) for _ in range(3)]


def test_a_target_that_is_seen_may_change_its_looks():
    whereabouts = Whereabouts(at())
    assert judged(whereabouts, 0.5, unlikeness=9.0) is State.NORMAL


def test_probation_that_fails_leaves_it_lost_and_its_last_place_remembered():
    whereabouts = lost_target()
    place = whereabouts.last_fit
    elsewhere = at(row=200.0)
    assert told(whereabouts, NORMAL, NORMAL, NOT_FOUND, where=elsewhere)[-1] is State.NOT_FOUND
    assert whereabouts.phase is Phase.LOST
    assert whereabouts.last_fit is place
    back = whereabouts.back_to_last_fit(at(row=200.0, frame_number=90))
    assert back.position == pytest.approx(place.position)
    assert back.frame_number == 90


def test_a_lost_target_takes_back_the_size_it_had_when_seen_clearly():
    whereabouts = Whereabouts(at())
    told(whereabouts, NORMAL, where=at(size=5.0))
    assert whereabouts.back_to_last_fit(at()).size == pytest.approx([20, 20])


def test_probation_does_not_last_for_ever():
    whereabouts = lost_target()
    told(whereabouts, NORMAL)
    verdicts = told(whereabouts, *[UNCERTAIN] * 40)
    assert State.NORMAL not in verdicts
    assert State.NOT_FOUND in verdicts


@pytest.mark.parametrize(
    "image",
    [
        pytest.param((State.NORMAL, 0.42), id="below half of its usual confidence"),
        pytest.param((State.HARD_NEGATIVE, 0.9), id="with another one in sight"),
        pytest.param((State.UNCERTAIN, 0.9), id="doubtful"),
    ],
)
def test_what_is_not_clear_enough_does_not_start_a_probation(image):
    whereabouts = lost_target()
    assert told(whereabouts, image) == [State.UNCERTAIN]
    assert whereabouts.phase is Phase.LOST


def test_a_box_of_unbelievable_size_is_not_the_target():
    whereabouts = lost_target()
    assert told(whereabouts, NORMAL, where=at(size=200.0)) == [State.NOT_FOUND]
    assert whereabouts.phase is Phase.LOST


def test_the_threshold_is_the_greater_of_the_absolute_and_the_usual_one():
    whereabouts = lost_target()
    assert whereabouts.threshold(CONFIG) == pytest.approx(0.45)
    weak = Whereabouts(dataclasses.replace(at(), usual_confidence=0.5))
    assert weak.threshold(CONFIG) == pytest.approx(0.4)
    assert is_candidate(0.45, 0.1, whereabouts, CONFIG)
    assert not is_candidate(0.44, 0.1, whereabouts, CONFIG)


def test_a_candidate_must_be_clear_of_the_second_best():
    whereabouts = lost_target()
    assert is_candidate(1.0, CONFIG.reacquire_margin, whereabouts, CONFIG)
    assert not is_candidate(1.0, CONFIG.reacquire_margin + 0.01, whereabouts, CONFIG)


@given(st.floats(5, 500), st.floats(5, 500), st.floats(0.41, 2.4))
def test_a_size_is_believed_within_limits(height, width, factor):
    clear = pair(height, width)
    assert believable_size(clear * np.float32(factor), clear)
    assert not believable_size(clear * np.float32(3.0), clear)
    assert not believable_size(clear / np.float32(3.0), clear)
    assert believable_size(clear * pair(1.5, 0.7), clear)  # it may have been half hidden when it was lost
    assert not believable_size(clear * pair(1.8, 0.55), clear)


@pytest.mark.parametrize("size", [pair(0, 10), pair(-1, 10), pair(np.nan, 10), pair(np.inf, 10)])
def test_a_size_that_is_none_is_not_believed(size):
    assert not believable_size(size, pair(10, 10))


def test_places_move_with_the_camera():
    assert moved(pair(10, 20), Similarity(shift_x=5.0, shift_y=-3.0)) == pytest.approx([7, 25])
    whereabouts = Whereabouts(at(row=10, column=20))
    whereabouts.move(Similarity(shift_x=5.0, shift_y=-3.0))
    assert whereabouts.last_fit.position == pytest.approx([7, 25])
    assert whereabouts.as_lost().position == pytest.approx((7, 25))


def test_what_the_camera_follows_stays_where_it_is_in_the_image():
    """As a panning camera holds a car: the scene moves under it."""
    pan = Similarity(shift_x=-7.0)
    still, followed = Whereabouts(at()), Whereabouts(at())
    for image in range(1, 30):
        for whereabouts, column in ((still, 60.0 - 7.0 * image), (followed, 60.0 + image % 2)):
            whereabouts.move(pan)
            told(whereabouts, NORMAL, where=at(column=column))
    assert not still.stays_in_image
    assert still.speed == pytest.approx(0.0, abs=1e-3)
    assert followed.stays_in_image
    places = [whereabouts.last_fit.position[1] for whereabouts in (still, followed)]
    for _ in range(10):
        for whereabouts in (still, followed):
            whereabouts.move(pan)
    assert still.last_fit.position[1] == pytest.approx(places[0] - 70.0)
    assert followed.last_fit.position[1] == places[1]


def test_speed_is_an_average_over_images_in_which_it_is_seen():
    whereabouts = Whereabouts(at())
    for image in range(30):
        told(whereabouts, NORMAL, where=at(column=60 + 4.0 * image))
    assert whereabouts.speed == pytest.approx(4.0, rel=0.1)
    speed = whereabouts.speed
    told(whereabouts, NOT_FOUND, NORMAL, where=at(column=500.0))
    assert whereabouts.speed == speed


def looking(unlikeness: float) -> np.ndarray:
    cosine = 1 - unlikeness * LEAST_USUAL
    return np.array([cosine, (1 - cosine**2) ** 0.5], np.float32)


def proposed(where: TargetState, in_past: bool = False) -> Whereabouts:
    """A known target that was lost, and is now proposed to be here."""
    whereabouts = known_target()
    told(whereabouts, *[NOT_FOUND] * CONFIG.reacquire_after)
    assert whereabouts.phase is Phase.LOST
    whereabouts.begin_probation(where.position, in_past)
    return whereabouts


def looked_at_again(whereabouts: Whereabouts, where: TargetState, unlikeness: float) -> State:
    """What is said of something that is seen clearly and looks like this."""
    evidence = Evidence(where, IMAGE, whereabouts.compare(looking(unlikeness)))
    return judge(whereabouts, seen(State.NORMAL, 1.0, where), evidence, CONFIG)


def returned_target(unlikeness: float) -> tuple[Whereabouts, list[State]]:
    """A lost target, and what is said of something elsewhere that looks like this, until it is refused or settled."""
    whereabouts, states = proposed(at(column=200)), []
    for image in range(IMAGES + 3):
        if whereabouts.phase is Phase.LOST:
            break
        states.append(looked_at_again(whereabouts, at(column=200 + image), unlikeness))
    return whereabouts, states


def on_trial(where: TargetState, unlikeness: float, in_past: bool = False) -> Whereabouts:
    """A target that was confirmed a moment ago."""
    whereabouts = proposed(where, in_past)
    for _ in range(CONFIG.reacquire_confirmations):
        looked_at_again(whereabouts, where, unlikeness)
    assert whereabouts.on_trial
    return whereabouts


TOO_UNLIKE = CONFIG.reacquire_looks * REFUSED + 0.1


def test_a_return_that_looks_right_is_trusted_and_settled():
    whereabouts, states = returned_target(0.5)
    assert states == [State.UNCERTAIN] * 2 + [State.NORMAL] * (IMAGES + 1)
    assert whereabouts.returns == Returns()


def test_a_return_that_looks_wrong_on_average_is_undone_and_the_target_lost_as_it_was():
    whereabouts, states = returned_target(TOO_UNLIKE)
    assert states == [State.UNCERTAIN] * 2 + [State.NORMAL] * (IMAGES - 3) + [State.NOT_FOUND]
    assert whereabouts.phase is Phase.LOST
    assert (whereabouts.last_fit.position == at().position).all()
    assert whereabouts.images_unclear == CONFIG.reacquire_after + IMAGES
    assert whereabouts.speed == 0, "and not that of the other thing"
    assert whereabouts.returns.refused is not None


def test_the_same_thing_has_been_looked_at_when_it_is_taken_for_the_target_again():
    whereabouts, _ = returned_target(TOO_UNLIKE)
    where = at(column=205)
    whereabouts.begin_probation(where.position)
    assert looked_at_again(whereabouts, where, TOO_UNLIKE) is State.NOT_FOUND


def test_while_it_is_not_settled_a_return_is_on_trial():
    whereabouts, trial = proposed(at()), []
    for _ in range(IMAGES):
        looked_at_again(whereabouts, at(), 0.0)
        trial.append(whereabouts.on_trial)
    assert trial == [False] * 2 + [True] * (IMAGES - 3) + [False]  # on probation, on trial, settled


def test_a_trial_ends_where_looks_do_not_count_any_more():
    whereabouts = on_trial(at(), 0.0)
    blind = dataclasses.replace(CONFIG, reacquire_looks=0.0)
    assert judge(whereabouts, seen(State.NORMAL, 1.0, at()), Evidence(at(), IMAGE), blind) is State.NORMAL
    assert not whereabouts.on_trial


def test_what_vanishes_while_it_is_on_trial_is_remembered():
    whereabouts = on_trial(at(), 1.5)
    told(whereabouts, *[NOT_FOUND] * CONFIG.reacquire_after)
    whereabouts.begin_probation(at().position)
    assert whereabouts.returns.now is not None
    assert whereabouts.returns.now.weight == CONFIG.reacquire_confirmations


def test_after_a_rescue_in_the_past_the_place_of_the_loss_moves_once_only():
    whereabouts, motion = on_trial(at(column=200), 1.5, in_past=True), Similarity(shift_x=5.0)
    whereabouts.move(motion)
    whereabouts.refuse(at(column=200).position)
    assert whereabouts.last_fit.position.tolist() == at().position.tolist()
    whereabouts.move(motion)
    assert whereabouts.last_fit.position.tolist() == at().position.tolist(), "it is still looked for in the past"
    whereabouts.caught_up()
    whereabouts.move(motion)
    assert whereabouts.last_fit.position.tolist() == at(column=65).position.tolist()


def test_a_jump_is_remembered_for_some_images():
    whereabouts = Whereabouts(at())
    assert not whereabouts.has_jumped(at())
    assert whereabouts.has_jumped(at(column=120))
    told(whereabouts, NORMAL, where=at(column=120))
    jumped = [whereabouts.has_jumped(at(column=122)) for _ in range(AFTER_JUMP)]
    assert jumped == [True] * (AFTER_JUMP - 1) + [False]
