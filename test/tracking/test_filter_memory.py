"""How much each remembered frame counts, when the learning rate changes while tracking."""

from __future__ import annotations

import numpy as np
import pytest

from trdimp_ros.tracking.filter_memory import SampleWeights


@pytest.mark.parametrize("minimum", [0.0, 0.25])
@pytest.mark.parametrize(("first", "frames_before"), [(0.0, 0), (0.0, 3), (0.0, 60), (1e-30, 0), (1e-6, 0)])
def test_learning_goes_on_after_a_frame_that_did_not_count(minimum, first, frames_before):
    weights = SampleWeights(50, 15)
    for _ in range(frames_before):
        weights.add(0.01, minimum)
    assert weights.values[weights.add(first, minimum)] <= 1e-5
    learned = 0.0
    for _ in range(6):
        learned += weights.values[weights.add(0.5, minimum)]
    assert learned > 0.5


def test_a_rate_of_zero_learns_nothing():
    weights = SampleWeights(20, 15)
    before = weights.values.copy()
    for _ in range(30):
        slot = weights.add(0.0, 0.25)
        assert weights.values[slot] == 0
    assert weights.values[:15] == pytest.approx(before[:15])


@pytest.mark.parametrize("rates", [(0.01, 0.02, 0.01), (0.0075, 0.02, 0.0075)])
def test_usual_rates_are_measured_by_the_last_sample(rates):
    """As the original does: every sample outweighs the one before it by 1 / (1 - rate)."""
    weights = SampleWeights(250, 8)
    for rate in rates * 20:
        last, before = weights.newest, weights.values.copy()
        slot = weights.add(rate, 0.0)
        if last is not None:
            ratio = weights.values[slot] / weights.values[last]
            assert ratio == pytest.approx(1 / (1 - rate), rel=1e-4), before
    assert np.isfinite(weights.values).all()
