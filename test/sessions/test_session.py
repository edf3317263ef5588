"""The session with a real tracker: several targets, the past, refusals, forgetting."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from trdimp_ros.sessions import OFFLINE, REAL_TIME, BufferLimits, ImageResult, InitRequest, TrackingSession
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network, tiny_tracker
from trdimp_ros.tracking import Box, MultiTracker, State

FRAMES, BOXES = small_scene()
CUP = Box(*BOXES[0])
BALL = Box(90.0, 30.0, 30.0, 30.0)
PERIOD = 40_000_000


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class ArrivingImage:
    """An image of the scene that can be damaged, or have something happen while it is decoded."""

    def __init__(self, index: int, damaged: bool = False, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.index, self.stamp, self.size_in_bytes = index, (index + 1) * PERIOD, 57_600
        self._damaged, self._meanwhile = damaged, meanwhile

    def decode(self) -> NDArray[np.uint8]:
        self._meanwhile()
        if self._damaged:
            raise ValueError("damaged")
        return FRAMES[self.index % len(FRAMES)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_session(clock, max_targets=4, timing=OFFLINE, tracker=None, **limits) -> TrackingSession:
    tracker = tracker or MultiTracker(tiny_network(), tiny_config(), max_targets)
    return TrackingSession(tracker, BufferLimits(**limits), timing, clock)


def work(session: TrackingSession) -> list[ImageResult]:
    """All results until nothing is left to do."""
    results = []
    while session.has_work:
        result = session.step()
        if result is not None:
            results.append(result)
    return results


def summary(results: list[ImageResult]) -> list[tuple[int, list[str]]]:
    return [(result.image.number, [target.id for target in result.targets]) for result in results]


def alone(box: Box, first: int, last: int) -> Box:
    """Where a tracker of its own finds a target in frame `last`."""
    tracker = tiny_tracker()
    tracker.initialize(FRAMES[first], box)
    return [tracker.track(frame) for frame in FRAMES[first + 1 : last + 1]][-1].box


class TestTargets:
    def test_each_is_tracked_as_if_it_were_alone(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="cup", label="mug"))
        session.request(InitRequest(BALL, id="ball"))
        first = session.track(FRAMES[0])
        assert [(target.id, target.label, target.track.box) for target in first.targets] == [
            ("cup", "mug", CUP),
            ("ball", "target", BALL),
        ]
        for frame in FRAMES[1:6]:
            last = session.track(frame)
        for target, box in zip(last.targets, (CUP, BALL), strict=True):
            assert np.allclose(target.track.box, alone(box, 0, 5), atol=1e-3)
        assert [target.id for target in session.targets] == ["cup", "ball"]

    def test_ids_are_made_up_and_never_taken_twice(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="target_1"))
        session.request(InitRequest(BALL))
        session.request(InitRequest(BALL))
        ids = [target.id for target in session.track(FRAMES[0]).targets]
        assert ids[0] == "target_1"
        assert len(set(ids)) == 3

    def test_a_restart_keeps_the_id_and_the_place(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="cup"))
        session.request(InitRequest(BALL, id="ball"))
        session.track(FRAMES[0])
        session.request(InitRequest(BALL, id="cup", label="new"))
        restarted = session.track(FRAMES[1]).targets
        assert [target.id for target in restarted] == ["cup", "ball"]
        assert (restarted[0].track.box, restarted[0].label) == (BALL, "new")

    def test_one_too_many_is_refused_and_touches_nobody(self, clock):
        session = make_session(clock, max_targets=2)
        for name in ("a", "b"):
            session.request(InitRequest(CUP, id=name))
        session.track(FRAMES[0])
        session.request(InitRequest(BALL, id="c"))
        assert [target.id for target in session.track(FRAMES[1]).targets] == ["a", "b"]
        (problem,) = session.take_problems()
        assert "2 targets are tracked already" in str(problem)
        assert "init refused (c)" in str(problem)

    def test_with_room_for_one_a_new_target_takes_its_place(self, clock):
        session = make_session(clock, max_targets=1)
        session.request(InitRequest(CUP, id="a"))
        session.track(FRAMES[0])
        session.request(InitRequest(BALL, id="b"))
        (target,) = session.track(FRAMES[1]).targets
        assert (target.id, target.track.box) == ("b", BALL)

    @pytest.mark.parametrize(
        "box", [Box(0, 0, 0, 0), Box(float("nan"), 0, 5, 5), Box(1e6, 0, 5, 5), Box(50, 50, 1e-30, 1e-30)]
    )
    def test_a_bad_box_leaves_the_old_target(self, clock, box):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="cup"))
        session.track(FRAMES[0])
        session.request(InitRequest(box, id="cup"))
        for frame in FRAMES[1:4]:
            (target,) = session.track(frame).targets
        assert np.allclose(target.track.box, alone(CUP, 0, 3), atol=1e-3)
        assert len(session.take_problems()) == 1

    def test_a_text_without_end_is_refused_at_the_border(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="x" * 10_000))
        session.request(InitRequest(CUP, label="x" * 10_000))
        assert not session.track(FRAMES[0]).targets
        problems = session.take_problems()
        assert len(problems) == 2
        assert all(len(str(problem)) < 200 for problem in problems)

    def test_images_since_found_are_counted(self, clock):
        tracker = MultiTracker(tiny_network(), tiny_config(), 2)
        session = make_session(clock, tracker=tracker)
        session.request(InitRequest(CUP))
        session.track(FRAMES[0])
        session.set_config(tiny_config(target_not_found_threshold=2.0))
        lost = [session.track(frame).targets[0] for frame in FRAMES[1:4]]
        assert [(target.track.state, target.frames_since_found) for target in lost] == [
            (State.NOT_FOUND, 1),
            (State.NOT_FOUND, 2),
            (State.NOT_FOUND, 3),
        ]
        with pytest.raises(ValueError, match="image_sample_size"):
            session.set_config(tiny_config(image_sample_size=112))

    def test_a_score_map_is_that_of_its_target(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="cup"))
        session.track(FRAMES[0])
        assert session.score_map("cup") is None
        confidence = session.track(FRAMES[1]).targets[0].track.confidence
        scores = session.score_map("cup")
        assert scores is not None
        assert scores.max() == pytest.approx(confidence)
        assert session.score_map("nobody") is None


class TestForgetting:
    def test_one_target_is_dropped_and_the_others_stay(self, clock):
        session = make_session(clock)
        for name in ("a", "b", "c"):
            session.request(InitRequest(CUP, id=name))
        session.track(FRAMES[0])
        assert session.drop("a")
        assert not session.drop("nobody")
        assert [target.id for target in session.targets] == ["b", "c"]
        for frame in FRAMES[1:4]:
            targets = session.track(frame).targets
        assert [target.id for target in targets] == ["b", "c"]
        assert all(np.allclose(target.track.box, alone(CUP, 0, 3), atol=1e-3) for target in targets)

    def test_a_reset_is_in_force_at_once_even_in_the_middle_of_an_image(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="a"))
        session.track(FRAMES[0])
        session.offer(ArrivingImage(1, meanwhile=session.reset))
        session.request(InitRequest(CUP, id="waiting"))
        (result,) = work(session)
        assert result.targets == ()
        assert result.idle
        assert session.targets == ()

    def test_a_target_dropped_in_the_middle_of_an_image_is_not_reported(self, clock):
        session = make_session(clock)
        for name in ("a", "b"):
            session.request(InitRequest(CUP, id=name))
        session.track(FRAMES[0])
        session.offer(ArrivingImage(1, meanwhile=lambda: session.drop("a")))
        assert summary(work(session)) == [(1, ["b"])]

    def test_a_reset_while_a_target_is_started_forgets_it(self, clock):
        session = make_session(clock)
        session.offer(ArrivingImage(0, meanwhile=session.reset))
        session.request(InitRequest(CUP))
        assert not any(result.targets for result in work(session))

    def test_a_request_after_the_reset_counts(self, clock):
        session = make_session(clock)
        session.request(InitRequest(CUP, id="a"))
        session.track(FRAMES[0])
        session.reset()
        session.request(InitRequest(BALL, id="b"))
        assert [target.id for target in session.track(FRAMES[1]).targets] == ["b"]


class TestThePast:
    def test_a_box_for_a_past_image_catches_up_through_every_image(self, clock):
        session = make_session(clock, frame_buffer=5.0)
        for index in range(8):
            session.track(FRAMES[index], (index + 1) * PERIOD)
        session.request(InitRequest(CUP, stamp=PERIOD, id="cup"))
        results = work(session)
        assert summary(results) == [(7, ["cup"])]
        assert np.allclose(results[0].targets[0].track.box, alone(CUP, 0, 7), atol=1e-3)
        assert results[0].pixels is FRAMES[7]

    def test_the_others_are_looked_for_in_every_image_meanwhile(self, clock):
        session = make_session(clock, frame_buffer=5.0)
        session.request(InitRequest(BALL, id="ball"))
        for index in range(6):
            session.track(FRAMES[index], (index + 1) * PERIOD)
        session.request(InitRequest(CUP, stamp=PERIOD, id="cup"))
        results, offered = [], itertools.count(6)
        for index in itertools.takewhile(lambda index: index < 12, offered):
            session.offer(ArrivingImage(index))
            results += [result for result in (session.step(), session.step()) if result is not None]
        results += work(session)
        assert [number for number, ids in summary(results) if "ball" in ids] == list(range(6, 12))
        assert summary(results)[-1] == (11, ["cup"])
        assert [target.id for target in results[-1].all_targets] == ["ball", "cup"]
        for target, box in zip(session.targets, (BALL, CUP), strict=True):
            assert np.allclose(target.track.box, alone(box, 0, 11), atol=1e-3)

    def test_in_real_time_it_skips_images_to_arrive(self, clock):
        session = make_session(clock, timing=REAL_TIME, frame_buffer=5.0)
        slow = lambda: setattr(clock, "now", clock.now + 0.3)  # noqa: E731
        for index in range(100):
            session.offer(ArrivingImage(index, meanwhile=slow))
            clock.now += 0.01
        session.request(InitRequest(CUP, stamp=PERIOD))
        begun, results = clock.now, work(session)
        assert [number for number, _ in summary(results)] == [99]
        assert clock.now - begun < 2.0

    def test_what_cannot_be_decoded_lends_its_header_to_no_box(self, clock):
        session = make_session(clock, frame_buffer=5.0)
        for index in range(6):
            session.offer(ArrivingImage(index, damaged=index == 5))
        session.request(InitRequest(CUP, stamp=PERIOD))
        (result,) = work(session)
        assert result.image.number == 4
        assert np.allclose(result.targets[0].track.box, alone(CUP, 0, 4), atol=1e-3)
        assert "damaged" in str(session.take_problems()[0])

    def test_a_request_waits_for_its_image(self, clock):
        session = make_session(clock, timing=REAL_TIME)
        session.offer(ArrivingImage(0))
        session.request(InitRequest(CUP, stamp=2 * PERIOD, id="cup"))
        assert summary(work(session)) == [(0, [])]
        session.offer(ArrivingImage(1))
        assert summary(work(session)) == [(1, ["cup"])]

    @pytest.mark.parametrize("images", [0, 1])
    def test_its_patience_ends_without_any_image(self, clock, images):
        session = make_session(clock, timing=REAL_TIME)
        for index in range(images):
            session.offer(ArrivingImage(index))
        session.request(InitRequest(CUP, stamp=9 * PERIOD))
        work(session)
        assert session.take_problems() == []
        clock.now += REAL_TIME.image_patience + 0.1
        work(session)
        (problem,) = session.take_problems()
        assert ("no image has arrived" if images == 0 else "has not arrived") in problem.reason

    def test_an_image_gone_is_replaced_by_its_neighbor_where_the_target_stood_still(self, clock):
        session = make_session(clock)
        for stamp in (100, 300):
            session.track(FRAMES[0], stamp * 1_000_000)
        session.request(InitRequest(CUP, stamp=160_000_000, id="cup"))
        assert summary(work(session)) == [(1, ["cup"])]

    def test_an_image_gone_is_not_replaced_where_the_target_moved(self, clock):
        session = make_session(clock)
        session.track(FRAMES[0], 100_000_000)
        session.track(np.roll(FRAMES[0], 12, axis=1), 300_000_000)
        session.request(InitRequest(CUP, stamp=160_000_000))
        assert work(session) == []
        (problem,) = session.take_problems()
        assert "the target has moved since; raise frame_buffer" in problem.reason

    def test_an_image_long_gone_is_named(self, clock):
        session = make_session(clock)
        session.track(FRAMES[0], 100_000_000)
        session.request(InitRequest(CUP, stamp=1_000_000))
        assert work(session) == []
        assert "is not kept any more; raise frame_buffer" in session.take_problems()[0].reason


class TestFloods:
    def test_the_others_are_looked_for_in_between(self, clock):
        session = make_session(clock, timing=REAL_TIME)
        for name in ("good", "flooded"):
            session.request(InitRequest(CUP, id=name))
        session.track(FRAMES[0])
        results, restarts = [], 0
        for index in range(1, 60):
            for x in range(20):
                session.request(InitRequest(CUP._replace(x=CUP.x + x / 10), id="flooded"))
            session.offer(ArrivingImage(index, meanwhile=lambda: setattr(clock, "now", clock.now + 0.01)))
            while session.has_work:
                result = session.step()
                results += [result] if result is not None else []
        seen = [number for number, ids in summary(results) if "good" in ids]
        assert seen == list(range(1, 60))
        restarts = sum(target.track.box == CUP._replace(x=CUP.x + 1.9) for one in results for target in one.targets)
        assert restarts >= 1

    def test_after_the_flood_nothing_is_left(self, clock):
        session = make_session(clock, max_targets=1)
        session.track(FRAMES[0])
        for x in range(4000):
            session.request(InitRequest(CUP._replace(x=CUP.x + x / 1e4)))
        steps = 0
        while session.has_work:
            session.step()
            steps += 1
        assert steps <= 2


class FailingTracker(MultiTracker):
    """A real tracker that fails when told to: no test machine runs out of device memory on demand."""

    failing = ""

    def add(self, *arguments, **named):
        if self.failing == "add":
            raise RuntimeError("out of memory")
        return super().add(*arguments, **named)

    def locate(self, *arguments, **named):
        if self.failing == "locate":
            raise RuntimeError("out of memory")
        return super().locate(*arguments, **named)

    def learn(self, *arguments, **named):
        if self.failing == "learn":
            raise RuntimeError("out of memory")
        return super().learn(*arguments, **named)


class TestFailures:
    @pytest.fixture
    def tracker(self) -> FailingTracker:
        return FailingTracker(tiny_network(), tiny_config(), 3)

    def test_a_failed_start_touches_nobody_else(self, clock, tracker):
        session = make_session(clock, tracker=tracker)
        session.request(InitRequest(CUP, id="cup"))
        session.track(FRAMES[0])
        tracker.failing = "add"
        session.request(InitRequest(BALL, id="ball"))
        with pytest.raises(RuntimeError, match="out of memory"):
            session.track(FRAMES[1])
        assert [target.id for target in session.track(FRAMES[2]).targets] == ["cup"]

    def test_a_failed_restart_keeps_the_old_target(self, clock, tracker):
        session = make_session(clock, tracker=tracker)
        session.request(InitRequest(CUP, id="cup"))
        session.track(FRAMES[0])
        tracker.failing = "add"
        session.request(InitRequest(BALL, id="cup"))
        with pytest.raises(RuntimeError, match="out of memory"):
            session.track(FRAMES[1])
        (target,) = session.track(FRAMES[2]).targets
        assert target.id == "cup"
        assert abs(target.track.box.x - CUP.x) < 20, "not at the ball"

    @pytest.mark.parametrize("moment", ["locate", "learn"])
    def test_a_failure_leaves_no_half_known_target_and_a_session_that_goes_on(self, clock, tracker, moment):
        session = make_session(clock, tracker=tracker)
        session.request(InitRequest(CUP, id="cup"))
        session.track(FRAMES[0])
        tracker.failing = moment
        with pytest.raises(RuntimeError, match="out of memory"):
            session.track(FRAMES[1])
        assert session.targets == ()
        assert tracker.names == []
        tracker.failing = ""
        session.request(InitRequest(CUP, id="cup"))
        assert session.track(FRAMES[2]).targets[0].track.box == CUP

    def test_an_image_that_is_none_changes_nothing(self, clock, tracker):
        session = make_session(clock, tracker=tracker)
        with pytest.raises(ValueError, match="dtype"):
            session.track(np.zeros((5, 5, 3)))
        assert session.images_arrived == 0
