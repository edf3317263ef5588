"""Where a target was in an image of the past."""

from __future__ import annotations

import numpy as np

from trdimp_ros.sessions.image_buffer import BufferedImage, ImmediateImage
from trdimp_ros.sessions.registry import LONGEST_HISTORY, SessionTarget, Whereabout
from trdimp_ros.sessions.results import TargetResult
from trdimp_ros.sessions.timing import CatchUpPace
from trdimp_ros.tracking import Box, State, TrackResult

PIXELS = np.zeros((4, 4, 3), np.uint8)


def image(number: int) -> BufferedImage:
    return BufferedImage(ImmediateImage(PIXELS), number, 0.0)


def track(x: float) -> TrackResult:
    return TrackResult(Box(x, 0, 10, 10), 1.0, State.NORMAL, Box(0, 0, 50, 50))


def target(*places: tuple[int, float, bool]) -> SessionTarget:
    """A target with its place and whether it was lost, in images of these numbers."""
    (first, x, _), *others = places
    made = SessionTarget("a", "cup", 0, first, TargetResult("a", "cup", track(x)), image(first))
    for number, x, lost in others:
        made.update(track(x), image(number))
        made.remember(lost)
    return made


def test_in_an_image_that_it_was_looked_for_in_it_was_where_it_was_found():
    made = target((3, 0.0, False), (4, 10.0, False), (5, 30.0, True))
    assert made.place_in(4) == Whereabout(4, Box(10, 0, 10, 10), False)
    assert made.place_in(5) == Whereabout(5, Box(30, 0, 10, 10), True)


def test_in_one_that_was_left_out_it_was_in_between():
    assert target((2, 0.0, False), (6, 40.0, False)).place_in(3) == Whereabout(3, Box(10, 0, 10, 10), False)


def test_between_seen_and_lost_it_is_not_known_to_have_been_there():
    made = target((2, 0.0, False), (4, 40.0, True), (6, 80.0, False))
    assert made.place_in(3) == Whereabout(3, Box(0, 0, 10, 10), True)
    assert made.place_in(5).lost


def test_before_and_after_all_it_was_at_the_nearest_place():
    made = target((2, 0.0, False), (4, 40.0, False))
    assert made.place_in(0).box.x == 0
    assert made.place_in(9).box.x == 40


def test_going_back_forgets_what_came_after_and_the_history_is_bounded():
    made = target((0, 0.0, False), *[(number, float(number), False) for number in range(1, 3 * LONGEST_HISTORY)])
    assert len(made.history) == LONGEST_HISTORY
    back = 3 * LONGEST_HISTORY - 5
    made.go_back_to(image(back), PIXELS, CatchUpPace(None, lambda: 0.0))
    assert (made.seen, made.history[-1].number) == (back, back)
    assert made.pace is not None
