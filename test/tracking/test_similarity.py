"""Similarities: inverse, composition, scale, and where a position goes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.similarity import IDENTITY, Similarity, moved

numbers = st.floats(-300, 300)
similarities = st.builds(
    lambda scale, turn, x, y: Similarity(scale * math.cos(turn), scale * math.sin(turn), x, y),
    st.floats(0.3, 3.0),
    st.floats(-3.0, 3.0),
    numbers,
    numbers,
)


@given(similarities, numbers, numbers)
def test_the_inverse_takes_a_point_back(motion, x, y):
    assert motion.inverse().apply(*motion.apply(x, y)) == pytest.approx((x, y), abs=1e-6)


@given(similarities, similarities, numbers, numbers)
def test_a_composition_applies_one_after_the_other(second, first, x, y):
    assert second.after(first).apply(x, y) == pytest.approx(second.apply(*first.apply(x, y)), abs=1e-6)


@given(similarities, similarities)
def test_scales_multiply_and_inverse_of_a_composition(second, first):
    assert second.after(first).scale == pytest.approx(second.scale * first.scale)
    there_and_back = second.after(first).after(second.after(first).inverse())
    assert there_and_back == pytest.approx(IDENTITY, abs=1e-6)


def test_a_similarity_of_scale_zero_has_no_inverse():
    with pytest.raises(ValueError, match="scale 0"):
        Similarity(0.0, 0.0, 1.0, 1.0).inverse()


def test_a_position_is_row_and_column():
    assert moved(np.array([3.0, 5.0], np.float32), Similarity(shift_x=10.0, shift_y=1.0)).tolist() == [4.0, 15.0]
