"""What a target looks like: the target's own usual difference is the measure, and nothing is learned too quickly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.appearance import LEAST, LEAST_USUAL, MOST, Appearance, demanded


def embedding(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle), 0.0], np.float32)


def seen(angles: list[float]) -> Appearance:
    appearance = Appearance()
    for angle in angles:
        appearance.update(embedding(angle))
    return appearance


def test_the_same_looks_are_no_different_and_length_does_not_count():
    appearance = seen([0.3] * 5)
    assert appearance.unlikeness(embedding(0.3)) == pytest.approx(0, abs=1e-5)
    assert appearance.unlikeness(embedding(0.3 + np.pi / 2)) == pytest.approx(1 / LEAST_USUAL, rel=1e-3)


def test_the_usual_difference_is_the_measure():
    turns = np.random.default_rng(0).normal(0, 1, 60)
    steady, restless = seen(list(0.1 * turns)), seen(list(0.8 * turns))
    assert steady.usual < restless.usual
    assert steady.unlikeness(embedding(1.5)) > 2 * restless.unlikeness(embedding(1.5))


def test_a_new_target_that_something_passes_before_does_not_become_that():
    appearance = seen([0.0] * 2)
    for _ in range(5):
        appearance.update(embedding(1.2))
    assert appearance.unlikeness(embedding(0.0)) < appearance.unlikeness(embedding(1.2))


def test_what_lasts_is_learned():
    appearance = seen([0.0] * 2 + [1.2] * 100)
    assert appearance.unlikeness(embedding(1.2)) < appearance.unlikeness(embedding(0.0))


@given(st.floats(0, 1000), st.floats(0.01, 100))
def test_what_is_demanded_is_bounded_and_grows_with_the_difference(unlikeness, accepted):
    factor = demanded(unlikeness, accepted)
    assert LEAST <= factor <= MOST
    assert (factor > 1) == (unlikeness > accepted)
    assert factor <= demanded(2 * unlikeness, accepted)


@pytest.mark.parametrize(("unlikeness", "accepted"), [(None, 1.0), (9.0, 0.0)])
def test_looks_that_are_not_known_or_do_not_count_change_nothing(unlikeness, accepted):
    assert demanded(unlikeness, accepted) == 1.0
