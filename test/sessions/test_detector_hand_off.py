"""A late detector starts targets, brings lost ones back with their ids, corrects sizes, and is refused with reasons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trdimp_ros.checkpoints import bundled_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.sessions import (
    OFFLINE,
    REAL_TIME,
    BufferLimits,
    Candidate,
    HandOffSettings,
    ImageResult,
    ImmediateImage,
    InitRequest,
    TargetResult,
    TrackingSession,
)
from trdimp_ros.sessions.candidates import MOST_CANDIDATES
from trdimp_ros.sessions.detector_hand_off import steady_factors
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Box, LongTermTracker, MultiTracker, State, preset
from trdimp_ros.tracking.geometry import intersection_over_union
from trdimp_ros.tracking.whereabouts import Phase

FRAMES, BOXES = small_scene()
CUP, BALL = Box(*BOXES[0]), Box(90.0, 30.0, 30.0, 30.0)
PERIOD = 40_000_000
ALL, IDLE, LOST = (HandOffSettings(auto_init=mode) for mode in ("all", "idle", "lost"))


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def stamp_of(index: int) -> int:
    return (index + 1) * PERIOD


def session_of(tracker: MultiTracker, clock, settings=ALL, timing=OFFLINE, frame_buffer=5.0) -> TrackingSession:
    session = TrackingSession(tracker, BufferLimits(frame_buffer=frame_buffer), timing, clock)
    session.set_hand_off(settings)
    return session


def tiny_session(clock, settings=ALL, max_targets=4, **options) -> TrackingSession:
    return session_of(LongTermTracker(tiny_network(), tiny_config(), max_targets), clock, settings, **options)


def show(session: TrackingSession, first: int, last: int) -> ImageResult:
    """Show the small scene's images from the first to the last one."""
    for index in range(first, last + 1):
        result = session.track(FRAMES[index % len(FRAMES)], stamp_of(index))
    return result


def work(session: TrackingSession) -> list[ImageResult]:
    results = []
    while session.has_work:
        result = session.step()
        session.learn()
        if result is not None:
            results.append(result)
    return results


def reasons(session: TrackingSession) -> list[str]:
    return [problem.reason for problem in session.take_problems()]


class TestStarting:
    def test_every_candidate_is_started_with_its_class_in_its_image_and_catches_up(self, clock):
        session = tiny_session(clock)
        show(session, 0, 5)
        session.offer_candidates([Candidate(CUP, "mug"), Candidate(BALL, "toy", 0.7)], stamp_of(0))
        work(session)
        assert [(target.id, target.label) for target in session.targets] == [("target_1", "mug"), ("target_2", "toy")]
        for target, box in zip(session.targets, (CUP, BALL), strict=True):
            alone = MultiTracker(tiny_network(), tiny_config(), 1)
            alone.add("x", FRAMES[0], box)
            track = [alone.track(frame)["x"] for frame in FRAMES[1:6]][-1]
            assert np.allclose(target.track.box, track.box, atol=1e-3)
        assert session.hand_off_counts.started == 2

    def test_what_is_tracked_is_not_started_again(self, clock):
        session = tiny_session(clock)
        session.request(InitRequest(CUP, stamp=stamp_of(0), id="cup"))
        boxes = [show(session, index, index).targets[0].track.box for index in range(5)]
        for index, box in enumerate(boxes):
            session.offer_candidates([Candidate(box)], stamp_of(index))
            work(session)
        assert [target.id for target in session.targets] == ["cup"]
        assert session.hand_off_counts.matched == 5

    def test_while_one_catches_up_the_next_candidates_wait_for_it(self, clock):
        session = tiny_session(clock)
        alone = tiny_session(clock)
        alone.request(InitRequest(CUP, stamp_of(0)))
        box = show(alone, 0, 4).targets[0].track.box
        show(session, 0, 5)
        session.offer_candidates([Candidate(CUP)], stamp_of(0))
        session.step()
        session.step()  # started, and behind
        session.offer_candidates([Candidate(box)], stamp_of(4))
        work(session)
        assert [target.id for target in session.targets] == ["target_1"]
        assert session.hand_off_counts.matched == 1

    def test_idle_starts_one_and_off_none(self, clock):
        for settings, count in ((IDLE, 1), (HandOffSettings(), 0), (LOST, 0)):
            session = tiny_session(clock, settings)
            show(session, 0, 1)
            session.offer_candidates([Candidate(CUP), Candidate(BALL)], stamp_of(0))
            work(session)
            assert len(session.targets) == count

    def test_there_is_no_room_for_more_than_max_targets(self, clock):
        session = tiny_session(clock, max_targets=1)
        session.request(InitRequest(CUP, id="cup"))
        show(session, 0, 0)
        session.offer_candidates([Candidate(BALL)], stamp_of(0))
        work(session)
        assert [target.id for target in session.targets] == ["cup"], "a detector pushes nobody out"
        assert reasons(session) == []

    def test_without_a_stamp_the_image_that_was_the_newest_counts(self, clock):
        session = tiny_session(clock)
        show(session, 0, 0)
        session.offer_candidates([Candidate(CUP)])
        session.offer(ImmediateImage(FRAMES[1], stamp_of(1)))
        work(session)
        (target,) = session.targets
        assert target.track.box != CUP, "it was tracked from its image to the newest"

    def test_a_reset_forgets_candidates_that_wait(self, clock):
        session = tiny_session(clock)
        show(session, 0, 0)
        session.offer_candidates([Candidate(CUP)], stamp_of(0))
        session.reset()
        work(session)
        assert session.targets == ()


class TestRefusals:
    @pytest.mark.parametrize(
        "candidate",
        [
            Candidate(Box(math.nan, 0, 5, 5)),
            Candidate(Box(0, 0, math.inf, 5)),
            Candidate(CUP, score=math.nan),
            Candidate(CUP, "x" * 1000),
        ],
    )
    def test_what_is_no_candidate_is_refused_with_the_whole_message(self, clock, candidate):
        session = tiny_session(clock)
        show(session, 0, 0)
        session.offer_candidates([Candidate(BALL), candidate], stamp_of(0))
        work(session)
        assert session.targets == ()
        (reason,) = reasons(session)
        assert "must be finite" in reason or "more than 128" in reason
        assert len(reason) < 200

    def test_of_very_many_the_best_count(self, clock):
        session = tiny_session(clock, max_targets=1)
        show(session, 0, 0)
        many = [Candidate(Box(x % 100, 0, 20, 20), score=0.6) for x in range(50 * MOST_CANDIDATES)]
        session.offer_candidates([*many, Candidate(BALL, "best", 0.9)], stamp_of(0))
        work(session)
        assert [target.label for target in session.targets] == ["best"]

    def test_an_image_older_than_the_buffer_is_refused(self, clock):
        session = tiny_session(clock, frame_buffer=0.1)
        for index in range(10):
            clock.now += 0.25
            show(session, index, index)
        session.offer_candidates([Candidate(CUP)], stamp_of(8))
        work(session)
        (reason,) = reasons(session)
        assert "0.2 s old, which is more than frame_buffer" in reason
        assert session.targets == ()

    def test_an_image_that_never_came_is_waited_for_in_bounds(self, clock):
        session = tiny_session(clock, timing=REAL_TIME)
        show(session, 0, 0)
        session.offer_candidates([Candidate(CUP)], stamp_of(9))
        work(session)
        assert reasons(session) == []
        clock.now += REAL_TIME.image_patience + 0.1
        work(session)
        (reason,) = reasons(session)
        assert "has not arrived" in reason

    def test_candidates_that_come_before_their_image_wait_for_it(self, clock):
        session = tiny_session(clock, timing=REAL_TIME)
        show(session, 0, 0)
        session.offer_candidates([Candidate(CUP)], stamp_of(1))
        assert work(session) == []
        show(session, 1, 1)
        assert len(session.targets) == 1

    def test_no_image_at_all(self, clock):
        session = tiny_session(clock, timing=REAL_TIME)
        session.offer_candidates([Candidate(CUP)])
        work(session)
        (reason,) = reasons(session)
        assert "no image has arrived" in reason

    def test_an_image_that_is_not_kept_is_replaced_where_the_candidate_stood_still(self, clock):
        session = tiny_session(clock)
        moved = FRAMES[0].copy()
        moved[:60] = np.roll(moved[:60], 40, axis=1)  # the upper half moves
        session.track(FRAMES[0], 100_000_000)
        session.track(moved, 300_000_000)
        still = Candidate(Box(60, 75, 40, 40), "still")
        session.offer_candidates([Candidate(Box(60, 5, 40, 40), "moved"), still], 160_000_000)
        work(session)
        assert [target.label for target in session.targets] == ["still"]
        session.offer_candidates([Candidate(Box(60, 5, 40, 40))], 160_000_000)
        work(session)
        assert "not kept any more, and the target has moved since" in reasons(session)[0]

    def test_targets_that_never_get_to_the_image_do_not_hold_it_up_for_ever(self, clock):
        session = tiny_session(clock, timing=REAL_TIME)
        session.request(InitRequest(CUP, id="cup"))
        show(session, 0, 0)
        session.offer(Damaged(stamp_of(1)))
        session.offer_candidates([Candidate(BALL)], stamp_of(1))
        work(session)
        assert len(session.take_problems()) == 1, "the image"
        clock.now += REAL_TIME.image_patience + 0.1
        work(session)
        assert "not looked for in their image in time" in reasons(session)[0]


class Damaged:
    """An image that cannot be decoded."""

    size_in_bytes = 10

    def __init__(self, stamp: int) -> None:
        self.stamp = stamp

    def decode(self) -> NDArray[np.uint8]:
        raise ValueError("damaged")


def test_floods_do_not_grow_and_the_newest_is_used(clock):
    session = tiny_session(clock)
    show(session, 0, 3)
    for x in range(1000):
        session.offer_candidates([Candidate(Box(x / 20, 30, 30, 30))], stamp_of(3))
    work(session)
    assert [target.track.box.x for target in session.targets] == [999 / 20]


# Lost targets: the bundled network, since somebody has to recognise something


def picture(place: tuple[int, int] | None, seed: int) -> NDArray[np.uint8]:
    """The scene without its target, and the target pasted in with its corner at (x, y)."""
    scene = RenderedScene(320, 240)
    image = scene.frame(136).copy()
    if place is not None:
        x, y, w, h = (round(value) for value in scene.box(0))
        image[place[1] : place[1] + h, place[0] : place[0] + w] = scene.frame(0)[y : y + h, x : x + w]
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def box_at(place: tuple[int, int]) -> Box:
    _, _, w, h = (round(value) for value in RenderedScene(320, 240).box(0))
    return Box(*place, w, h)


LEAVES, RETURNS, ELSEWHERE = (30, 30), (250, 170), (150, 60)


def compact_session(clock, settings=LOST) -> TrackingSession:
    network, _ = bundled_network()
    tracker = LongTermTracker(network, replace(preset("compact"), reacquire_budget=0), 3)
    return session_of(tracker, clock, settings)


def play(
    session: TrackingSession,
    places: list[tuple[int, int] | None],
    candidates: Callable[[int], list[Candidate] | None],
    late: int = 4,
) -> list[dict[str, TargetResult]]:
    """Start on the target in the first image, show it at all places, and give a detector's candidates, images late."""
    session.offer(ImmediateImage(picture(places[0], 0), stamp_of(0)))
    session.request(InitRequest(box_at(LEAVES), stamp_of(0), "sign", "sign"))
    results = []
    for index, place in enumerate(places):
        if index:
            seen = candidates(index - late) if index >= late else None
            if seen is not None:
                session.offer_candidates(seen, stamp_of(index - late))
                work(session)
            targets = session.track(picture(place, index), stamp_of(index)).targets
        else:
            targets = tuple(target for result in work(session) for target in result.targets)
        results.append({target.id: target for target in targets})
    return results


HERE_AND_GONE = [LEAVES] * 5 + [None] * 7
GONE_AND_BACK = HERE_AND_GONE + [RETURNS] * 11


@pytest.fixture(scope="module")
def rescued() -> tuple[TrackingSession, list[dict[str, TargetResult]]]:
    session = compact_session(Clock(), replace(ALL, auto_init="all"))
    at = lambda index: [Candidate(box_at(RETURNS), "sign")] if index == 13 else None  # noqa: E731
    return session, play(session, GONE_AND_BACK, at)


def test_a_lost_target_is_found_again_with_its_id_where_a_late_detector_saw_it(rescued):
    session, results = rescued
    last = results[-1]["sign"].track
    assert last.state in (State.NORMAL, State.HARD_NEGATIVE)
    assert intersection_over_union(last.box, box_at(RETURNS)) > 0.5
    assert [target.id for target in session.targets] == ["sign"], "nothing new was started on it"
    assert session.hand_off_counts.rescued == 1


def test_before_the_detector_it_was_lost(rescued):
    states = [result["sign"].track.state for result in rescued[1][10:17]]
    assert set(states) <= {State.NOT_FOUND, State.UNCERTAIN}


def test_without_the_detector_it_stays_lost():
    session = compact_session(Clock())
    last = play(session, GONE_AND_BACK, lambda index: None)[-1]["sign"].track
    assert intersection_over_union(last.box, box_at(RETURNS)) == 0.0


def test_a_rescue_in_a_past_image_ends_with_the_present_also_where_it_fails(clock, monkeypatch):
    """The tracker has to know which images' motion the place of the loss has made already."""
    session, told = compact_session(clock), []
    put, caught = LongTermTracker.put_on_probation, LongTermTracker.caught_up
    monkeypatch.setattr(
        LongTermTracker,
        "put_on_probation",
        lambda self, name, box, in_past: (told.append(in_past), put(self, name, box, in_past)),
    )
    monkeypatch.setattr(LongTermTracker, "caught_up", lambda self, name: (told.append("present"), caught(self, name)))
    seen_once = [*HERE_AND_GONE, RETURNS, *[None] * 5]
    at = lambda index: [Candidate(box_at(RETURNS), "sign")] if index == len(HERE_AND_GONE) else None  # noqa: E731
    results = play(session, seen_once, at)
    assert session.hand_off_counts.rescued == 1
    assert results[-1]["sign"].track.state is State.NOT_FOUND
    after = told[told.index(True) :]
    assert after[0] is True
    assert "present" in after


def test_it_is_in_probation_and_nothing_is_learned_until_it_is_confirmed(clock):
    session = compact_session(clock)
    tracker = session._tracked.long_term
    play(session, HERE_AND_GONE, lambda index: None)
    assert tracker.phase(0) is Phase.LOST
    session.track(picture(RETURNS, 12), stamp_of(12))
    learned = tracker.filters(0).clone()
    session.offer_candidates([Candidate(box_at(RETURNS))], stamp_of(12))
    work(session)
    assert tracker.phase(0) is Phase.PROBATION
    for index in range(13, 13 + preset("compact").reacquire_confirmations - 1):
        (target,) = session.track(picture(RETURNS, index), stamp_of(index)).targets
        assert target.track.state is State.UNCERTAIN
        assert (tracker.filters(0) == learned).all()
    (target,) = session.track(picture(RETURNS, 40), stamp_of(40)).targets
    assert target.track.state is State.NORMAL


def test_one_that_was_found_again_in_the_meantime_stays_where_it_is_and_nothing_new_is_started():
    places = HERE_AND_GONE + [LEAVES] * 12
    session = compact_session(Clock(), ALL)
    at = lambda index: [Candidate(box_at(LEAVES), "sign")] if index in (12, 16) else None  # noqa: E731
    results = play(session, places, at, late=6)
    assert [target.id for target in session.targets] == ["sign"]
    assert session.hand_off_counts.rescued == 0
    assert results[-1]["sign"].track.state is State.NORMAL


def test_what_does_not_look_like_the_lost_target_is_a_new_one():
    session = compact_session(Clock(), ALL)
    at = lambda index: [Candidate(box_at(ELSEWHERE), "sign")] if index == 10 else None  # noqa: E731
    play(session, HERE_AND_GONE + [None] * 4, at)
    assert session.hand_off_counts.rescued == 0
    assert [target.id for target in session.targets] == ["sign", "target_1"]


def test_a_target_is_reported_once_for_each_image(clock):
    session = compact_session(clock)
    play(session, GONE_AND_BACK[:16], lambda index: None)
    reported: list[tuple[str, int]] = []
    session.offer_candidates([Candidate(box_at(RETURNS))], stamp_of(12))
    for index in range(16, 20):
        session.offer(ImmediateImage(picture(RETURNS, index), stamp_of(index)))
        reported += [(target.id, one.image.number) for one in work(session) for target in one.targets]
    assert session.hand_off_counts.rescued == 1
    assert len(set(reported)) == len(reported)
    assert reported[-1] == ("sign", 19)


def test_a_tracker_that_cannot_find_again_starts_targets_only(clock):
    session = session_of(MultiTracker(tiny_network(), tiny_config(), 4), clock)
    session.request(InitRequest(CUP, id="cup"))
    show(session, 0, 0)
    session.set_config(tiny_config(target_not_found_threshold=2.0))
    show(session, 1, 2)
    session.offer_candidates([Candidate(BALL)], stamp_of(2))
    work(session)
    assert {target.id for target in session.targets} == {"cup", "target_1"}


class TestSizes:
    def sizes(self, clock, weight: float, factors: list[float]) -> tuple[int, float]:
        """How often a size was corrected, and the width after that in units of the width before the last sighting."""
        session = tiny_session(clock, replace(ALL, size_weight=weight))
        session.request(InitRequest(CUP, stamp_of(0), "cup"))
        for index, factor in enumerate(factors):
            (target,) = show(session, index, index).targets
            x, y, w, h = target.track.box
            bigger = Box(x - (factor - 1) * w / 2, y - (factor - 1) * h / 2, w * factor, h * factor)
            session.offer_candidates([Candidate(bigger)], stamp_of(index))
            work(session)
        width = session._tracked.tracker.target(0).size[1]
        return session.hand_off_counts.resized, float(width / w)

    def test_a_steady_detector_corrects_by_its_weight(self, clock):
        times, factor = self.sizes(clock, 0.5, [1.3] * 3)
        assert (times, factor) == (1, pytest.approx(math.sqrt(1.3), abs=1e-3))

    @pytest.mark.parametrize(
        ("weight", "factors"), [(0.0, [1.3] * 3), (0.5, [1.3] * 2), (0.5, [1.0, 1.3, 1.5])], ids=["off", "few", "noise"]
    )
    def test_else_the_size_stays(self, clock, weight, factors):
        assert self.sizes(clock, weight, factors) == (0, pytest.approx(1.0))


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), max_size=5))
def test_a_correction_is_always_within_what_was_seen_and_believed(ratios):
    factors = steady_factors(ratios)
    if factors is None:
        return
    for which, factor in enumerate(factors):
        last = [ratio[which] for ratio in ratios[-3:]]
        assert 0.5 - 1e-9 <= factor <= 2.0 + 1e-9
        assert min(last) * (1 - 1e-9) <= factor <= max(last) * (1 + 1e-9)
        assert max(last) / min(last) <= math.exp(0.2) * (1 + 1e-9)
