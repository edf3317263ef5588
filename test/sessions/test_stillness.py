"""Whether a target stayed in place between two images."""

from __future__ import annotations

import numpy as np
import pytest

from trdimp_ros.sessions.stillness import stayed_in_place
from trdimp_ros.testing.tiny import small_scene
from trdimp_ros.tracking import Box

FRAMES, BOXES = small_scene()
BOX = Box(*BOXES[0])


def test_the_same_image_shows_a_target_that_stayed():
    assert stayed_in_place(FRAMES[0], FRAMES[0].copy(), BOX)


def test_noise_does_not_matter():
    noise = np.random.default_rng(0).integers(-6, 7, FRAMES[0].shape)
    assert stayed_in_place(FRAMES[0], np.clip(FRAMES[0] + noise, 0, 255).astype(np.uint8), BOX)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shift", [-9, 9])
def test_a_target_that_moved_did_not_stay(axis, shift):
    assert not stayed_in_place(FRAMES[0], np.roll(FRAMES[0], shift, axis), BOX)


def test_a_mirrored_image_is_not_taken_for_the_same():
    assert not stayed_in_place(FRAMES[0], FRAMES[0][:, ::-1], BOX)


@pytest.mark.parametrize(
    "box", [Box(500, 500, 10, 10), Box(-20, -20, 21, 21), Box(5, 5, 1, 1), Box(float("nan"), 0, 5, 5)]
)
def test_where_there_is_nothing_to_compare_the_answer_is_no(box):
    assert not stayed_in_place(FRAMES[0], FRAMES[0], box)


def test_a_plain_wall_tells_nothing():
    wall = np.full((60, 60, 3), 128, np.uint8)
    assert not stayed_in_place(wall, wall, Box(10, 10, 20, 20))


def test_images_of_two_sizes_are_not_compared():
    assert not stayed_in_place(FRAMES[0], FRAMES[0][:90], BOX)
