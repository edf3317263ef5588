"""Skipping images while catching up, and the share of time that restarts may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.sessions.timing import CatchUpPace, RestartLimit


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 300), st.floats(0.001, 3.0), st.floats(0.01, 0.2))
def test_the_present_is_reached_in_time(waiting, step_seconds, camera_period):
    clock = Clock()
    pace = CatchUpPace(1.0, clock)
    arrived = 0.0
    while waiting >= 1:
        waiting -= pace.next_index(int(waiting)) + 1
        clock.now += step_seconds
        arrived += step_seconds / camera_period
        waiting += int(arrived)
        arrived -= int(arrived)
        pace.step_done()
        if clock.now > 1.0 + 2 * step_seconds:
            assert waiting <= step_seconds / camera_period + 1
            return
    assert clock.now <= 1.0 + 2 * step_seconds


def test_without_a_time_no_image_is_skipped():
    clock = Clock()
    pace = CatchUpPace(None, clock)
    for _ in range(5):
        assert pace.next_index(100) == 0
        clock.now += 10
        pace.step_done()


def test_a_first_start_is_never_held_up_and_restarts_take_their_share():
    clock = Clock()
    limit = RestartLimit(0.2, clock)
    assert not limit.must_wait("a")
    limit.started("a", 0.3)
    assert not limit.must_wait("a"), "one correction at once is allowed"
    limit.started("a", 0.3)
    assert limit.must_wait("a")
    assert not limit.must_wait("b")
    clock.now += 1.25
    assert not limit.must_wait("a")


def test_many_ids_do_not_pile_up():
    clock = Clock()
    limit = RestartLimit(0.2, clock)
    for number in range(1000):
        clock.now += 1.0
        limit.started(str(number), 0.1)
    assert len(limit._starts) <= RestartLimit.MEMORY + 1


@pytest.mark.parametrize("seconds", [0.1, 5.0])
def test_a_share_of_one_is_no_limit(seconds):
    limit = RestartLimit(1.0, Clock())
    limit.started("a", seconds)
    limit.started("a", seconds)
    assert not limit.must_wait("a")
