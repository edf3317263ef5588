"""What comes back is judged by the average of several looks at it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.returns import IMAGES, LATE, REFUSED, REFUSED_LATE, SAME_THING, Return, Returns
from trdimp_ros.tracking.similarity import Similarity
from trdimp_ros.tracking.target import TargetState

LOOKS = 2.0


def at(row: float = 50.0, column: float = 60.0) -> TargetState:
    position, size, scale = np.array([row, column], np.float32), np.full(2, 20, np.float32), np.float32(0.5)
    return TargetState(position, size, scale, np.full(2, 40, np.float32), clear_size=size, clear_scale=scale)


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def looked_at(images: int, embedding: np.ndarray) -> Returns:
    returns = Returns()
    returns.begin(Return(at()), at().position, 10, reach=20)
    assert returns.now is not None
    for _ in range(images):
        returns.now.add(embedding)
    return returns


def test_chance_cancels_in_the_average():
    random = np.random.default_rng(0)
    true = unit(*random.normal(size=64))
    views = [unit(*(true + random.normal(0, 0.1, 64))) for _ in range(IMAGES)]
    one = Return(at())
    average = [one.add(view) for view in views][-1]
    assert 1 - average @ true < 0.4 * np.mean([1 - view @ true for view in views])
    assert np.linalg.norm(average) == pytest.approx(1, abs=1e-5)


@given(st.integers(1, 50), st.floats(0.1, 10))
def test_an_average_of_more_images_has_to_be_more_alike(weight, looks):
    fewer, more = Return(at(), weight=weight), Return(at(), weight=weight + 1)
    assert more.accepted(looks) < fewer.accepted(looks) <= looks


def test_after_enough_images_it_is_certain_what_it_is():
    for images in range(1, IMAGES):
        now = looked_at(images, unit(1, 0)).now
        assert now is not None
        assert now.on_trial
        assert not now.is_other(REFUSED * LOOKS + 0.1, LOOKS)
    now = looked_at(IMAGES, unit(1, 0)).now
    assert now is not None
    assert not now.on_trial
    assert now.is_other(REFUSED * LOOKS + 0.1, LOOKS)
    assert not now.is_other(REFUSED * LOOKS - 0.1, LOOKS)
    assert not now.is_other(100.0, 0.0), "looks do not count"


def test_the_longer_a_target_is_gone_the_more_it_may_have_changed():
    def most_alike_refused(absence: int) -> float:
        now = Return(at(), absence, weight=IMAGES)
        return next(value for value in np.arange(0, LOOKS, 0.01) if now.is_other(value, LOOKS))

    limits = [most_alike_refused(absence) for absence in (0, 100, LATE, 10 * LATE)]
    assert limits[0] == pytest.approx(REFUSED * LOOKS, abs=0.011)
    assert limits[0] < limits[1] < limits[2]
    assert limits[2:] == pytest.approx([REFUSED_LATE * LOOKS] * 2, abs=0.011)


def test_nothing_is_on_trial_where_nobody_looks():
    assert not looked_at(0, unit(1, 0)).on_trial
    assert not Returns().on_trial


@pytest.mark.parametrize(
    ("images_later", "column", "same"),
    [(1, 60, True), (SAME_THING, 75, True), (SAME_THING + 1, 60, False), (1, 90, False)],
)
def test_what_was_refused_a_little_ago_where_it_was_is_remembered(images_later, column, same):
    returns = looked_at(20, unit(1, 1))
    returns.end(at().position, 10)
    assert returns.now is None
    returns.begin(Return(at()), at(column=column).position, 10 + images_later, reach=20)
    assert returns.now is not None
    average = returns.now.add(unit(1, 0))
    assert returns.now.images == 1
    if same:  # as much as IMAGES images
        assert average == pytest.approx(unit(*(IMAGES * unit(1, 1) + unit(1, 0))), abs=1e-5)
    else:
        assert average == pytest.approx(unit(1, 0), abs=1e-5)


def test_what_the_target_proves_to_be_is_not_refused_any_more():
    returns = looked_at(IMAGES, unit(1, 1))
    returns.end(at().position, 10)
    returns.begin(Return(at()), at().position, 11, reach=20)
    returns.accept()
    assert returns == Returns()


def test_without_a_look_nothing_is_remembered():
    returns = looked_at(0, unit(1, 0))
    returns.end(at().position, 10)
    assert returns == Returns()


@pytest.mark.parametrize(("with_fit", "in_past"), [(False, False), (True, False), (True, True)])
def test_places_move_with_the_camera(with_fit, in_past):
    returns = looked_at(1, unit(1, 0))
    returns.end(at().position, 10)
    returns.begin(Return(at(), in_past=in_past), at(column=500).position, 11, reach=1)
    returns.move(Similarity(shift_x=7.0), with_fit=with_fit)
    assert returns.refused is not None
    assert returns.now is not None
    assert returns.refused.position.tolist() == [50, 67]
    assert returns.now.fit.position.tolist() == [50, 67 if with_fit and not in_past else 60]
