"""What a detector has seen waits in bounds, and the newest is heard."""

from __future__ import annotations

from trdimp_ros.sessions.candidates import MOST_CANDIDATES, Candidate
from trdimp_ros.sessions.sightings import SightingBox, checked
from trdimp_ros.tracking import Box


def box_with(*stamps: int) -> SightingBox:
    box = SightingBox(lambda: 0.0)
    for stamp in stamps:
        box.put([], stamp, None)
    return box


def stamps(box: SightingBox) -> list[int]:
    return [waiting.stamp for waiting in box.waiting()]


def test_a_flood_does_not_grow_and_the_first_is_heard_if_its_image_comes():
    box = box_with(*range(1000))
    assert stamps(box) == [999, 0]
    assert box.received == 1000
    assert box.replaced == 998


def test_taking_one_forgets_what_is_older():
    box = box_with(1, 2)
    newest, oldest = box.waiting()
    assert box.take(newest)
    assert stamps(box) == []
    assert not box.take(oldest)
    box = box_with(1, 2)
    newest, oldest = box.waiting()
    assert box.take(oldest)
    assert stamps(box) == [2]


def test_what_was_cleared_cannot_be_taken():
    box = box_with(1)
    (waiting,) = box.waiting()
    box.clear()
    assert not box.take(waiting)


def test_of_many_candidates_the_best_stay():
    many = [Candidate(Box(0, 0, 1, 1), score=score / 1000) for score in range(1000)]
    kept = checked(many)
    assert len(kept) == MOST_CANDIDATES
    assert min(candidate.score for candidate in kept) == 0.9
