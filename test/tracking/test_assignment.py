"""The assignment with the greatest total value, against trying all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trdimp_ros.tracking.assignment import assign

tables = st.tuples(st.integers(0, 5), st.integers(0, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([-1.0, 0.0, 0.1, 0.3, 0.5, 0.9, 1.0, 2.5]))
)


def greatest_total(values: np.ndarray) -> float:
    """Of all ways to pair some rows with some columns."""
    if values.shape[0] > values.shape[1]:
        values = values.T
    rows, columns = values.shape
    return max(
        sum(max(values[row, column], 0.0) for row, column in enumerate(chosen))
        for chosen in itertools.permutations(range(columns), rows)
    )


@given(tables)
def test_no_other_assignment_is_worth_more(values):
    pairs = assign(values)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(values[pair] > 0 for pair in pairs)
    if values.size:
        assert sum(values[pair] for pair in pairs) == pytest.approx(greatest_total(values))


def test_the_best_single_pair_is_given_up_where_that_is_worth_more():
    assert assign(np.array([[0.9, 0.8], [0.85, 0.1]])) == [(0, 1), (1, 0)]


def test_what_is_forbidden_is_never_paired():
    assert assign(np.array([[0.0, -1.0], [np.nan, 0.4]])) == [(1, 1)]
    assert assign(np.array([[np.inf, -np.inf]])) == []


@pytest.mark.parametrize("shape", [(32, 100), (100, 32)])
def test_large_tables_pair_all_of_the_shorter_side(shape):
    values = np.random.default_rng(0).uniform(0.1, 1.0, shape)
    pairs = assign(values)
    assert len(pairs) == 32
    greedy, left = 0.0, values.copy()
    for _ in range(32):
        row, column = np.unravel_index(left.argmax(), shape)
        greedy += left[row, column]
        left[row], left[:, column] = 0.0, 0.0
    assert sum(values[pair] for pair in pairs) >= greedy
