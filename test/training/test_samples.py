"""Composed samples: reproducible, with true boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from trdimp_ros.training.clips import synthetic_clip
from trdimp_ros.training.config import CompositionConfig
from trdimp_ros.training.cutouts import Choice, Cutouts
from trdimp_ros.training.image_files import CROP_SCALE, SCENE_SIDE
from trdimp_ros.training.pictures import sample_grid
from trdimp_ros.training.samples import draw_samples

PLAIN = CompositionConfig(
    side=128,
    search_area_scale=3.0,
    real_share=0.0,
    absent_share=0.0,
    occluded_share=0.0,
    distractor_share=0.0,
    light_change=0.0,
    grey_share=0.0,
    degraded_share=0.0,
)


def draw(bank, config, seed=0, batch=6):
    return draw_samples(bank, config, 3, 2, batch, torch.Generator().manual_seed(seed))


def test_the_same_seed_gives_the_same_batch(toy_bank):
    config = CompositionConfig(side=96)
    first, second, other = draw(toy_bank, config), draw(toy_bank, config), draw(toy_bank, config, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (5, 6, 3, 96, 96)
    assert first.images.min() >= 0
    assert first.images.max() <= 255


def test_boxes_are_where_the_target_is_drawn(toy_bank):
    """On black backgrounds whatever is not black is the target."""
    black = replace(toy_bank, backgrounds=torch.zeros_like(toy_bank.backgrounds))
    bright = replace(black, objects=torch.cat([toy_bank.objects[:, :3] // 2 + 127, toy_bank.objects[:, 3:]], dim=1))
    samples = draw(bright, PLAIN)
    checked = 0
    for image, box in zip(samples.images.flatten(0, 1), samples.boxes.flatten(0, 1), strict=True):
        drawn = image.amax(dim=0) > 60
        columns, rows = torch.nonzero(drawn.any(dim=0))[:, 0], torch.nonzero(drawn.any(dim=1))[:, 0]
        seen = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
        wanted = torch.cat([box[:2], box[:2] + box[2:]])
        if wanted.min() > 1 and wanted.max() < 127:
            assert (seen - wanted).abs().max() < 2.0
            checked += 1
    assert checked > 15


def test_boxes_of_real_frames_follow_the_mask(toy_bank):
    samples = draw(toy_bank, replace(PLAIN, real_share=1.0))
    assert samples.present.all()
    for image, box in zip(samples.images.flatten(0, 1), samples.boxes.flatten(0, 1), strict=True):
        x, y = (box[:2] + box[2:] / 2).round().long().clamp(2, 125).tolist()
        red, green, blue = image[:, y - 2 : y + 3, x - 2 : x + 3].mean(dim=(1, 2)).tolist()
        assert red > 150
        assert max(green, blue) < 90


def test_boxes_of_turned_and_stretched_views_follow_the_target(toy_bank):
    """A disc's picture is an ellipse then, whose box is known from its pixels."""
    radius = SCENE_SIDE / CROP_SCALE / 2
    place = torch.arange(SCENE_SIDE) + 0.5 - SCENE_SIDE / 2
    disc = ((place[:, None].square() + place.square()).sqrt() < radius).to(torch.uint8)
    frames = (disc * torch.tensor([255, 0, 0])[:, None, None]).to(torch.uint8).expand(len(toy_bank.frames), -1, -1, -1)
    boxes = torch.tensor([SCENE_SIDE / 2 - radius, SCENE_SIDE / 2 - radius, 2 * radius, 2 * radius])
    bank = replace(toy_bank, frames=frames, frame_boxes=boxes.expand(len(frames), 4))
    samples = draw(bank, replace(PLAIN, real_share=1.0, real_change=2.0, rotation=1.0), batch=12)
    checked = 0
    for image, box in zip(samples.images.flatten(0, 1), samples.boxes.flatten(0, 1), strict=True):
        disc = image[0] > 127
        columns, rows = torch.nonzero(disc.any(dim=0))[:, 0], torch.nonzero(disc.any(dim=1))[:, 0]
        seen = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
        wanted = torch.cat([box[:2], box[:2] + box[2:]])
        if wanted.min() > 1 and wanted.max() < 127:
            assert (seen - wanted).abs().max() < 1.5
            checked += 1
    assert checked > 30


def test_an_absent_real_target_is_replaced_by_another_scene(boxed_bank):
    config = replace(PLAIN, real_share=1.0, absent_share=1.0)
    samples = draw(boxed_bank, config, batch=20)
    absent = ~samples.present[3:]
    assert samples.present[:3].all()
    assert absent.any()
    for image, box in zip(samples.images[3:][absent], samples.boxes[3:][absent], strict=True):
        # Every toy scene has a target of another colour.
        x, y = (box[:2] + box[2:] / 2).round().long().clamp(2, 125).tolist()
        assert image[:, y - 2 : y + 3, x - 2 : x + 3].mean(dim=(1, 2)).std() > 0


def test_something_is_pasted_before_real_targets(boxed_bank):
    plain = draw(boxed_bank, replace(PLAIN, real_share=1.0, real_change=0.0))
    occluded = draw(boxed_bank, replace(PLAIN, real_share=1.0, real_change=0.0, occluded_share=1.0))
    assert torch.equal(plain.images[:3], occluded.images[:3])
    assert not torch.equal(plain.images[3:], occluded.images[3:])


def test_absent_targets_are_not_drawn_and_templates_always_have_one(toy_bank):
    samples = draw(toy_bank, replace(PLAIN, absent_share=1.0))
    assert samples.present[:3].all()
    assert not samples.present[3:].any()


def test_a_look_alike_has_the_outline_of_an_object_and_another_texture(toy_bank):
    config = replace(PLAIN, elasticity=0.0)
    numbers = torch.tensor([0, 1])

    def drawn(mixture: float) -> Cutouts:
        choice = Choice(numbers, torch.full((2,), mixture))
        return Cutouts.draw(toy_bank, config, 3, 2, torch.Generator().manual_seed(0), choice)

    own, alike = drawn(0.0), drawn(0.9)
    assert torch.equal(own.index, numbers)
    assert torch.equal(own.textures[:, 3], alike.textures[:, 3])
    assert (own.textures[:, :3] - alike.textures[:, :3]).abs().mean() > 0.05


def test_look_alikes_stand_also_where_the_target_is_absent(toy_bank):
    config = replace(PLAIN, absent_share=1.0, distractors=1, distractor_share=1.0)
    same_background = replace(toy_bank, backgrounds=torch.zeros_like(toy_bank.backgrounds))
    alone = draw(same_background, replace(config, distractor_share=0.0, distractors=0))
    assert alone.images[3:].amax() == 0
    samples = draw(same_background, replace(config, look_alike_share=1.0))
    assert not samples.present[3:].any()
    assert (samples.images[3:].amax(dim=(2, 3, 4)) > 30).float().mean() > 0.5


def test_a_fully_hidden_target_counts_as_absent(toy_bank):
    samples = draw(toy_bank, replace(PLAIN, occluded_share=1.0), batch=40)
    share = samples.present[3:].float().mean()
    assert 0.5 < share < 1.0


def test_the_grid_shows_all_frames(toy_bank):
    grid = sample_grid(draw(toy_bank, PLAIN), rows=4)
    assert grid.shape == (4 * 128, 5 * 128, 3)
    assert grid.dtype == np.uint8


def test_a_clip_moves_smoothly_and_leaves(toy_bank):
    clip = synthetic_clip(toy_bank, 3, frames=40, leaves=True)
    again = synthetic_clip(toy_bank, 3, frames=40, leaves=True)
    assert np.array_equal(clip.frames[20], again.frames[20])
    assert clip.frames[0].shape == (240, 320, 3)
    assert clip.visible[0] > 0.2
    assert (clip.visible[19:27] == 0).any()
    assert clip.visible[-1] > 0.2
    moved = np.abs(np.diff(clip.boxes[:14, :2], axis=0)).max()
    assert moved < 12
