"""Closed-form scores and gradients against the regressor's own pass and autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.models.box_regressor import BoxRegressor
from trdimp_ros.models.box_scorer import BoxScorer


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    regressor = BoxRegressor(12, 16, 8).eval()
    modulation = torch.rand(1, 8) + 0.5, torch.rand(1, 8) + 0.5
    features = torch.rand(1, 8, 12, 14), torch.rand(1, 8, 6, 7)
    return regressor, modulation, features, BoxScorer(regressor, (modulation[0][0], modulation[1][0]))


def by_autograd(parts, boxes):
    regressor, modulation, features, _ = parts
    boxes = boxes[None].clone().requires_grad_()
    with torch.enable_grad():
        scores = regressor(modulation, features, boxes)
        scores.sum().backward()
    return scores[0].detach(), boxes.grad[0]


@settings(max_examples=60, deadline=None)
@given(x=st.floats(-60, 130), y=st.floats(-60, 110), w=st.floats(4, 200), h=st.floats(4, 200))
def test_scores_and_gradients_are_those_of_autograd(parts, x, y, w, h):
    """Boxes inside, across and beyond the edges of a map of 112 x 96 pixels."""
    boxes = torch.tensor([[x, y, w, h], [10.3, 20.7, 30.1, 25.2]])
    scores, gradient = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes)
    wanted, wanted_gradient = by_autograd(parts, boxes)
    torch.testing.assert_close(scores, wanted, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, wanted_gradient, atol=5e-4, rtol=5e-3)


def test_a_box_without_area_has_no_gradient(parts):
    boxes = torch.tensor([[10.0, 10.0, 0.0, 20.0], [10.0, 10.0, 20.0, -3.0]])
    scores, gradient = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes)
    torch.testing.assert_close(scores, by_autograd(parts, boxes)[0])
    assert torch.equal(gradient, torch.zeros(2, 4))


def test_another_modulation_reuses_the_buffers(parts):
    regressor, modulation, features, scorer = parts
    before = [weights.data_ptr() for weights in scorer._weights]
    other = BoxScorer(regressor, (modulation[1][0], modulation[0][0]))
    other.set_modulation((modulation[0][0], modulation[1][0]))
    boxes = torch.tensor([[10.3, 20.7, 30.1, 25.2]])
    scores, other_scores = (one.score_and_gradient(one.prepare(features), boxes)[0] for one in (scorer, other))
    assert torch.equal(scores, other_scores)
    scorer.set_modulation((modulation[0][0], modulation[1][0]))
    assert [weights.data_ptr() for weights in scorer._weights] == before
