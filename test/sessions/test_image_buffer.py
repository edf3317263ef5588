"""The buffer of images: what is kept for how long, whatever the stamps say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.sessions import BufferLimits, ImmediateImage
from trdimp_ros.sessions.image_buffer import ImageBuffer

SECOND = 10**9


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def image(stamp: int = 0, size: int = 1) -> ImmediateImage:
    return ImmediateImage(np.zeros((size, 1, 3), np.uint8), stamp)


def stamps(buffer: ImageBuffer) -> list[int]:
    return [one.stamp for one in buffer.between(-1, buffer.arrived)]


def test_the_newest_image_wins_and_drops_are_counted(clock):
    buffer = ImageBuffer(clock=clock)
    for stamp in range(1, 5):
        buffer.put(image(stamp))
    taken = buffer.take()
    assert taken is not None
    assert (taken.stamp, taken.number) == (4, 3)
    assert (buffer.arrived, buffer.dropped) == (4, 3)
    assert buffer.take() is None


@pytest.mark.parametrize("stamp", [0, 7], ids=["unstamped", "a clock that stands still"])
def test_images_age_by_the_monotonic_clock(clock, stamp):
    buffer = ImageBuffer(BufferLimits(frame_buffer=1.0, sparse_seconds=0.0), clock)
    for _ in range(600):
        buffer.put(image(stamp))
        clock.now += 1 / 30
    assert len(buffer) <= 31


def test_older_images_are_thinned_out_and_then_forgotten(clock):
    buffer = ImageBuffer(BufferLimits(frame_buffer=1.0, sparse_seconds=10.0, sparse_period=0.2), clock)
    for _ in range(30 * 20):
        buffer.put(image(round(clock.now * SECOND)))
        clock.now += 1 / 30
    ages = [clock.now - stamp / SECOND for stamp in stamps(buffer)]
    assert max(ages) < 11.3
    assert 29 <= sum(age <= 1.01 for age in ages) <= 32, "every image of the last second"
    gaps = -np.diff([age for age in ages if age > 1.1])
    assert len(gaps) > 40
    assert gaps.min() > 0.19
    assert gaps.max() < 0.25


def test_without_a_frame_buffer_the_newest_image_alone_is_kept(clock):
    buffer = ImageBuffer(BufferLimits(frame_buffer=0.0), clock)
    for stamp in range(1, 20):
        buffer.put(image(stamp))
        clock.now += 0.01
    assert stamps(buffer) == [19]


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 2)), min_size=1, max_size=60))
def test_count_and_bytes_are_bounded(arrivals):
    clock = Clock()
    limits = BufferLimits(frame_buffer=3.0, sparse_seconds=5.0, sparse_period=0.5, count=10, size_in_bytes=200)
    buffer = ImageBuffer(limits, clock)
    for size, pause in arrivals:
        buffer.put(image(0, size))
        clock.now += pause
        kept = buffer.between(-1, buffer.arrived)
        assert buffer.size_in_bytes == sum(one.source.size_in_bytes for one in kept)
        assert len(buffer) <= 10
        assert buffer.size_in_bytes <= 200 or len(buffer) == 1
        assert kept[-1].number == buffer.arrived - 1, "the newest is always kept"


def test_a_backward_jump_forgets_the_past(clock):
    buffer = ImageBuffer(clock=clock)
    assert buffer.put(image(5))
    assert not buffer.put(image(3))
    assert buffer.find(5) is None
    assert buffer.put(image(4))
    assert stamps(buffer) == [3, 4]


def test_neighbors_of_a_stamp(clock):
    buffer = ImageBuffer(clock=clock)
    for stamp in (10, 20, 30):
        buffer.put(image(stamp))
    before, after = buffer.neighbors(25)
    assert (before.stamp, after.stamp) == (20, 30)
    assert buffer.neighbors(5)[0] is None
    assert buffer.neighbors(35)[1] is None


def test_an_image_looked_at_as_one_of_the_past_is_not_taken_again(clock):
    buffer = ImageBuffer(clock=clock)
    buffer.put(image(1))
    buffer.mark_taken(0)
    assert not buffer.has_waiting
    buffer.put(image(2))
    buffer.mark_taken(0)
    assert buffer.has_waiting


def test_clearing_forgets_the_images_and_keeps_the_counters(clock):
    buffer = ImageBuffer(clock=clock)
    buffer.put(image(1))
    buffer.clear()
    assert (len(buffer), buffer.size_in_bytes, buffer.take()) == (0, 0, None)
    assert (buffer.arrived, buffer.dropped) == (1, 1)
