"""Proposals and their densities."""

from __future__ import annotations

import torch

from trdimp_ros.training.proposals import draw_proposals


def test_the_true_density_integrates_to_one_over_the_proposals():
    boxes = torch.tensor([[10.0, 20.0, 30.0, 40.0], [50.0, 60.0, 10.0, 5.0]])
    drawn = draw_proposals(boxes, 20000, torch.Generator().manual_seed(0))
    assert drawn.boxes.shape == (2, 20000, 4)
    mass = (drawn.true_density / drawn.density).mean(dim=1)
    torch.testing.assert_close(mass, torch.ones(2), atol=0.02, rtol=0)
    assert (drawn.boxes[..., 2:] > 0).all()


def test_half_of_the_proposals_are_close():
    boxes = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    drawn = draw_proposals(boxes, 2000, torch.Generator().manual_seed(0))
    error = (drawn.boxes - boxes[:, None]).abs() / boxes[:, None, 2:].repeat(1, 1, 2)
    assert 0.4 < (error.amax(dim=2) < 0.25).float().mean() < 0.6
