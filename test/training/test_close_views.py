"""Close views for the appearance head: what they show, what resembles it, and what the loss asks for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trdimp_ros.models.appearance_head import VIEW_MARGIN, VIEW_SIDE, AppearanceHead
from trdimp_ros.tracking import Box
from trdimp_ros.tracking.close_view import close_view
from trdimp_ros.training.appearance_pass import Embeddings, appearance_losses
from trdimp_ros.training.close_views import LEAST_DIFFERENCE, cut_views, draw_close_views, resembling
from trdimp_ros.training.samples import Samples


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def colorful(frames: int, batch: int, side: int = 96) -> Samples:
    """Targets of strong colours on grey, the same colour in all frames."""
    images = torch.full((frames, batch, 3, side, side), 128.0)
    boxes = torch.tensor([30.0, 24.0, 32.0, 40.0]).expand(frames, batch, 4).clone()
    colors = 255 * torch.rand(batch, 3, generator=generator(7)).round()
    images[..., 24:64, 30:62] = colors[None, :, :, None, None]
    return Samples(images, boxes, torch.ones(frames, batch, dtype=torch.bool))


def test_a_view_shows_the_box_and_a_margin_of_it():
    samples = colorful(1, 1)
    view = cut_views(samples.images[0], samples.boxes[0])[0]
    rim = round(VIEW_SIDE * (1 - 1 / VIEW_MARGIN) / 2)
    inside = view[:, rim + 2 : -rim - 2, rim + 2 : -rim - 2]
    assert inside.flatten(1).std(dim=1).max() < 1e-3
    assert view[:, 0, 0].tolist() == pytest.approx([128.0] * 3)


def test_training_and_tracking_cut_the_same_view():
    noise = torch.rand(1, 3, 12, 12, generator=generator()) * 255
    image = torch.nn.functional.interpolate(noise, size=(96, 96), mode="bicubic").clamp(0, 255).round()
    box = torch.tensor([[20.0, 30.0, 40.0, 30.0]])
    trained = cut_views(image, box)[0].permute(1, 2, 0).numpy()
    tracked = close_view(image[0].permute(1, 2, 0).numpy().astype(np.uint8), Box(20.0, 30.0, 40.0, 30.0))
    assert np.abs(trained - tracked).max() < 4


@pytest.mark.parametrize("box", [Box(-5000, -5000, 20, 20), Box(10, 10, 0.1, 900), Box(-1e4, -1e4, 3e4, 3e4)])
def test_any_box_gives_a_view(box):
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    assert close_view(image, box).shape == (VIEW_SIDE, VIEW_SIDE, 3)


def test_a_large_box_of_a_large_image_gives_the_view_of_the_small_one():
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    small, large = noise.repeat(10, 0).repeat(10, 1), noise.repeat(100, 0).repeat(100, 1)
    expected = close_view(small, Box(10, 10, 40, 30)).astype(int)
    assert np.abs(close_view(large, Box(100, 100, 400, 300)) - expected).mean() < 6
    assert close_view(large.repeat(50, 1), Box(5000, 100, 20000, 300)).shape == (VIEW_SIDE, VIEW_SIDE, 3)


def test_what_resembles_a_target_is_the_same_in_all_frames_and_differs_from_it():
    views = colorful(3, 6, VIEW_SIDE).images
    other = resembling(views, generator(3))
    assert other.shape == views.shape
    assert torch.allclose(other[0], other[2], atol=1e-3)
    differences = (other - views).abs().mean(dim=(2, 3, 4))
    assert (differences > 0).any(dim=1).all()


def test_a_grey_target_in_other_colours_is_no_look_alike():
    samples = colorful(2, 4)
    grey = samples._replace(images=samples.images.mean(dim=2, keepdim=True).expand_as(samples.images).contiguous())
    views = draw_close_views(grey, generator(1))
    unchanged = (views.look_alikes - views.targets).abs().mean(dim=(2, 3, 4)) <= LEAST_DIFFERENCE
    assert (views.distinct == ~unchanged).all()


def losses(targets: torch.Tensor, look_alikes: torch.Tensor, **changes: torch.Tensor) -> dict[str, float]:
    frames, batch = targets.shape[:2]
    views = draw_close_views(colorful(frames, batch), generator())
    views = views._replace(distinct=torch.ones(frames, batch, dtype=torch.bool))._replace(**changes)
    elsewhere = torch.zeros_like(targets)
    elsewhere[..., -1] = -1.0
    parts = appearance_losses(AppearanceHead(4, 4, 8), Embeddings(targets, look_alikes, elsewhere), views)
    return {name: float(value) for name, value in parts.items()}


def test_the_loss_wants_frames_of_one_target_together_and_look_alikes_apart():
    axes = torch.eye(8)
    apart = losses(axes[None, :2].repeat(3, 1, 1), axes[None, 2:4].repeat(3, 1, 1))
    alike = losses(axes[None, :2].repeat(3, 1, 1), axes[None, :2].repeat(3, 1, 1))
    scattered = losses(torch.stack([axes[:2], axes[2:4], axes[4:6]]), axes[None, 6:8].repeat(3, 1, 1))
    assert apart["appearance_look_alike"] < 0.1 < alike["appearance_look_alike"]
    assert apart["appearance_same"] < 0.1 < scattered["appearance_same"]


def test_what_cannot_be_seen_or_does_not_differ_says_nothing():
    axes = torch.eye(8)
    same = axes[None, :2].repeat(3, 1, 1)
    nothing = torch.zeros(3, 2, dtype=torch.bool)
    assert losses(same, same, distinct=nothing)["appearance_look_alike"] == 0.0
    absent = losses(same, same, present=nothing)
    assert all(value == 0.0 for value in absent.values())
