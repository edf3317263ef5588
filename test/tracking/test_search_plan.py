"""Where a lost target is looked for: everywhere in the end, near things first, never more than was asked for."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trdimp_ros.tracking.search_plan import (
    MOST_STEPS,
    SIZE_FACTORS,
    STEP,
    WHOLE_IMAGE_AFTER,
    LostTarget,
    SearchSchedule,
    centers,
    search_region,
    shares,
    sweep,
)

image_sizes = st.tuples(st.integers(16, 2000), st.integers(16, 2000))
lost_targets = st.builds(
    LostTarget,
    st.tuples(st.floats(-100, 2100), st.floats(-100, 2100)),
    st.floats(30, 300),
    st.floats(0, 50),
    st.integers(0, 500),
)


@given(st.floats(-500, 500), st.floats(1, 2000), st.floats(150, 600))
@example(413.4757265517514, 198.0, 198.0)  # what rounding leaves is no room
def test_intervals_cover_their_range_without_gaps(low, length, side):
    middles = centers(low, low + length, side)
    assert middles[0] - side / 2 <= low + 1e-3
    assert middles[-1] + side / 2 >= low + length - 1e-3
    for one, other in itertools.pairwise(middles):
        assert 0 < other - one <= STEP * side + 1e-6


@given(lost_targets, image_sizes, st.sampled_from(SIZE_FACTORS))
def test_every_point_of_the_region_is_in_an_area_or_in_the_one_at_the_last_place(target, image_size, factor):
    side = 5 * target.length
    region = search_region(target, image_size, side)
    areas = [(*place.position, side * factor) for place in sweep(target, image_size, side, factor)]
    areas.append((*target.position, side))
    for share_down in (0.0, 0.3, 1.0):
        for share_right in (0.0, 0.7, 1.0):
            row = region.top + share_down * (region.bottom - region.top)
            column = region.left + share_right * (region.right - region.left)
            # An area that is left out lies within a quarter of a side of the last place.
            assert any(
                max(abs(row - middle_row), abs(column - middle_column)) <= length * 0.75 + 1e-6
                for middle_row, middle_column, length in areas
            )


@given(lost_targets, image_sizes)
def test_areas_have_their_middles_in_the_image(target, image_size):
    for place in sweep(target, image_size, 5 * target.length, 1.0):
        assert 0 <= place.position[0] <= image_size[0]
        assert 0 <= place.position[1] <= image_size[1]


@given(lost_targets, image_sizes)
def test_near_places_come_first(target, image_size):
    places = sweep(target, image_size, 5 * target.length, math.sqrt(2))
    distances = [math.dist(place.position, target.position) for place in places]
    assert distances == sorted(distances)


@pytest.mark.parametrize("length", [0.5, 3.0])
def test_a_tiny_target_in_a_huge_image_is_not_looked_for_in_endlessly_many_places(length):
    places = sweep(LostTarget((10.0, 10.0), length, 0.0, 500), (8000, 8000), 5 * length, 1.0)
    assert 100 < len(places) <= (MOST_STEPS + 1) ** 2


def test_the_region_grows_with_time_and_speed_up_to_the_image():
    def area(**changes) -> float:
        target = LostTarget((500.0, 500.0), 20.0, 2.0, 1)._replace(**changes)
        region = search_region(target, (1000, 1000), 100.0)
        return (region.bottom - region.top) * (region.right - region.left)

    assert area() < area(images_lost=10) < area(images_lost=10, speed=8.0)
    assert area(images_lost=WHOLE_IMAGE_AFTER) == 1000 * 1000


@given(lost_targets, image_sizes, st.lists(st.integers(0, 8), max_size=20))
def test_a_schedule_never_gives_more_than_it_was_asked_for_and_is_the_same_again(target, image_size, counts):
    first, second = SearchSchedule(), SearchSchedule()
    for count in counts:
        places = first.take(count, target, image_size, 5 * target.length)
        assert len(places) <= count
        assert places == second.take(count, target, image_size, 5 * target.length)


def test_a_schedule_gets_everywhere_at_every_size():
    target, image_size, side = LostTarget((60.0, 80.0), 30.0, 0.0, WHOLE_IMAGE_AFTER), (480, 640), 150.0
    schedule = SearchSchedule()
    wanted = {place for factor in SIZE_FACTORS for place in sweep(target, image_size, side, factor)}
    rounds = sum(len(sweep(target, image_size, side, factor)) for factor in SIZE_FACTORS)
    seen = {place for _ in range(-(-rounds // 3)) for place in schedule.take(3, target, image_size, side)}
    assert seen == wanted


def test_where_one_area_covers_everything_there_is_nothing_more_at_that_size():
    target = LostTarget((50.0, 50.0), 100.0, 0.0, WHOLE_IMAGE_AFTER)
    assert sweep(target, (100, 100), 500.0, 1.0) == []
    places = SearchSchedule().take(4, target, (100, 100), 500.0)
    assert {place.size_factor for place in places} == {math.sqrt(2), math.sqrt(0.5)}


@given(st.integers(0, 16), st.integers(1, 32), st.integers(0, 1000))
def test_the_budget_is_spent_and_shared_evenly(budget, waiting, turn):
    given_out = shares(budget, waiting, turn)
    assert sum(given_out) == budget
    assert max(given_out) - min(given_out) <= 1


@pytest.mark.parametrize(("budget", "waiting"), [(2, 3), (4, 6), (3, 5), (1, 32)])
def test_over_time_every_target_gets_its_turn(budget, waiting):
    turns = 4 * waiting
    total = [sum(column) for column in zip(*(shares(budget, waiting, turn) for turn in range(turns)), strict=True)]
    assert set(total) == {budget * turns // waiting}
    assert shares(budget, 0, 1) == []
