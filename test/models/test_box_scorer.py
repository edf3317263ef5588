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
    return regressor, modulation, features, scorer_of(regressor, modulation)


def scorer_of(regressor: BoxRegressor, *modulations: tuple[torch.Tensor, torch.Tensor]) -> BoxScorer:
    scorer = BoxScorer(regressor, len(modulations))
    for index, (fine, coarse) in enumerate(modulations):
        scorer.set_modulation(index, (fine[0], coarse[0]))
    return scorer


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
    scores, gradient = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes[None])
    scores, gradient = scores[0], gradient[0]
    wanted, wanted_gradient = by_autograd(parts, boxes)
    torch.testing.assert_close(scores, wanted, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(gradient, wanted_gradient, atol=5e-4, rtol=5e-3)


def test_a_box_without_area_has_no_gradient(parts):
    boxes = torch.tensor([[10.0, 10.0, 0.0, 20.0], [10.0, 10.0, 20.0, -3.0]])
    scores, gradient = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes[None])
    torch.testing.assert_close(scores[0], by_autograd(parts, boxes)[0])
    assert torch.equal(gradient, torch.zeros(1, 2, 4))


def test_another_modulation_reuses_the_buffers(parts):
    regressor, modulation, features, scorer = parts
    before = scorer._modulation.data_ptr()
    other = scorer_of(regressor, (modulation[1], modulation[0]))
    other.set_modulation(0, (modulation[0][0], modulation[1][0]))
    boxes = torch.tensor([[[10.3, 20.7, 30.1, 25.2]]])
    scores, other_scores = (one.score_and_gradient(one.prepare(features), boxes)[0] for one in (scorer, other))
    assert torch.equal(scores, other_scores)
    scorer.set_modulation(0, (modulation[0][0], modulation[1][0]))
    assert scorer._modulation.data_ptr() == before


def test_several_targets_at_once_are_each_scored_as_alone():
    torch.manual_seed(3)
    regressor = BoxRegressor(12, 16, 8).eval()
    modulations = [(torch.rand(1, 8) + 0.5, torch.rand(1, 8) + 0.5) for _ in range(3)]
    features = torch.rand(3, 8, 12, 14), torch.rand(3, 8, 6, 7)
    boxes = torch.tensor([10.0, 12.0, 25.0, 20.0]) + 8 * torch.rand(3, 5, 4)
    together = scorer_of(regressor, *modulations)
    scores, gradient = together.score_and_gradient(together.prepare(features), boxes)
    for index, modulation in enumerate(modulations):
        alone = scorer_of(regressor, modulation)
        its_own = features[0][index, None], features[1][index, None]
        wanted, wanted_gradient = alone.score_and_gradient(alone.prepare(its_own), boxes[index, None])
        torch.testing.assert_close(scores[index, None], wanted)
        torch.testing.assert_close(gradient[index, None], wanted_gradient, atol=1e-6, rtol=1e-4)


def test_room_for_more_targets_is_the_same_room_for_fewer():
    """What a recorded graph relies on: tracking more targets for a while must not move anything."""
    torch.manual_seed(4)
    regressor = BoxRegressor(12, 16, 8).eval()
    scorer = scorer_of(regressor, *[(torch.rand(1, 8), torch.rand(1, 8)) for _ in range(3)])
    features = torch.rand(3, 8, 12, 14), torch.rand(3, 8, 6, 7)
    one = scorer.prepare((features[0][:1], features[1][:1])).table
    three = scorer.prepare(features).table
    assert one.data_ptr() == three.data_ptr()
    assert 3 * len(one) == len(three)


def test_a_copied_target_is_scored_alike(parts):
    regressor, modulation, features, _ = parts
    scorer = scorer_of(regressor, (modulation[1], modulation[0]), modulation)
    scorer.copy_target(1, 0)
    boxes = torch.tensor([[[10.3, 20.7, 30.1, 25.2]]])
    scores = scorer.score_and_gradient(scorer.prepare(features), boxes)[0]
    assert torch.equal(scores, parts[3].score_and_gradient(parts[3].prepare(features), boxes)[0])


def test_boxes_that_are_no_numbers_have_scores_that_are_none(parts):
    boxes = torch.tensor([[[torch.nan, 10, 20, 20], [10, 10, torch.inf, torch.nan], [10.3, 20.7, 30.1, 25.2]]])
    scores, gradient = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes)
    alone = parts[3].score_and_gradient(parts[3].prepare(parts[2]), boxes[:, 2:])
    torch.testing.assert_close((scores[:, 2:], gradient[:, 2:]), alone)
