"""What hides targets: what is left of them to see, and where nothing may be hidden."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.occluders import add_occluder

FRAMES, BATCH, SIDE = 3, 8, 96
PLAIN = CompositionConfig(side=SIDE, occluded_share=1.0, post_share=0.0)


def hide(bank, config: CompositionConfig) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Targets that are black squares of 32 pixels on white, hidden in the last frame of three at most."""
    count = FRAMES * BATCH
    boxes = torch.tensor([[32.0, 32.0, 32.0, 32.0]]).expand(count, 4)
    coverage = torch.zeros(count, SIDE, SIDE)
    coverage[:, 32:64, 32:64] = 1.0
    pictures = (1 - coverage)[:, None].repeat(1, 3, 1, 1)
    may_hide = torch.tensor([False, False, True])
    after, left = add_occluder(pictures, coverage, boxes, may_hide, config, bank, torch.Generator().manual_seed(0))
    return pictures, after, left


@pytest.mark.parametrize("post_share", [0.0, 1.0])
def test_only_frames_that_may_be_hidden_are(toy_bank, post_share):
    pictures, after, left = hide(toy_bank, replace(PLAIN, post_share=post_share))
    open_frames = slice(0, 2 * BATCH)
    assert torch.equal(after[open_frames], pictures[open_frames])
    visible = left.flatten(1).sum(dim=1) / 32**2
    assert (visible[open_frames] == 1).all()
    assert visible[2 * BATCH :].min() < 0.5
    assert visible.min() >= 0


def test_what_is_hidden_is_painted_over(toy_bank):
    pictures, after, left = hide(toy_bank, replace(PLAIN, post_share=1.0))
    inside = pictures[:, 0] == 0
    assert torch.equal(after[inside[:, None].expand_as(after) & (left == 1)[:, None]].unique(), torch.zeros(1))
    hidden = inside & (left < 0.01)
    assert hidden.any()
    assert after.mean(dim=1)[hidden].mean() > 0.1  # of the occluder's colours


def test_posts_leave_the_search_area_on_both_sides(toy_bank):
    """A post hides more than the target: it reaches the border of the picture."""
    pictures, after, _ = hide(toy_bank, replace(PLAIN, post_share=1.0))
    changed = (after != pictures).any(dim=1)[2 * BATCH :]
    border = torch.cat([changed[:, 0], changed[:, -1], changed[:, :, 0], changed[:, :, -1]], dim=1)
    assert (border.any(dim=1) | ~changed.flatten(1).any(dim=1)).all()


def test_without_occluders_everything_stays(toy_bank):
    pictures, after, left = hide(toy_bank, replace(PLAIN, occluded_share=0.0))
    assert torch.equal(after, pictures)
    assert left.sum() == FRAMES * BATCH * 32**2
