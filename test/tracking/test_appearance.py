"""What a target looks like in a few colours: light does not count, other colours do, by the target's own measure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking import Box
from trdimp_ros.tracking.appearance import LEAST_IMAGES, MOST_FAR, MOST_NEAR, Appearance, color_layout, demanded

BOX = Box(40.0, 30.0, 64.0, 48.0)


def scene(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 120, (9, 12, 3)).repeat(14, 0).repeat(14, 1).astype(np.uint8)


def seen(image: np.ndarray, shifts: np.ndarray) -> Appearance:
    """A target that was seen in an image, its boxes a little off each time."""
    appearance = Appearance()
    for x, y in shifts:
        appearance.update(color_layout(image, Box(BOX.x + x, BOX.y + y, BOX.w, BOX.h)))
    return appearance


def test_exposure_does_not_count_and_other_colours_do():
    image = scene(0)
    layout = color_layout(image, BOX)
    brighter = color_layout((image * 2.0).astype(np.uint8), BOX)
    other = color_layout(scene(1), BOX)
    assert np.abs(layout - brighter).max() < 0.05
    assert np.linalg.norm(layout - other) > 10 * np.linalg.norm(layout - brighter)
    assert layout.mean() == pytest.approx(0, abs=1e-5)


def test_a_box_beyond_the_image_is_read_from_its_edge():
    layout = color_layout(scene(0), Box(-500.0, -500.0, 20.0, 20.0))
    corner = np.log1p(scene(0)[0, 0].astype(np.float32))
    assert layout.reshape(-1, 3) == pytest.approx(np.tile(corner - corner.mean(), (16, 1)), abs=1e-4)


def test_the_usual_difference_is_the_measure():
    random, image = np.random.default_rng(0), scene(0)
    steady, restless = (seen(image, random.normal(0, size, (60, 2))) for size in (1.0, 12.0))
    own, other = color_layout(image, Box(42.0, 31.0, 64.0, 48.0)), color_layout(scene(1), BOX)
    assert steady.unlikeness(own) < 1.5
    assert restless.unlikeness(own) < 1.5
    assert steady.unlikeness(other) > 1.5 * restless.unlikeness(other)


def test_after_few_images_nothing_is_said():
    image = scene(0)
    appearance = seen(image, np.zeros((LEAST_IMAGES - 1, 2)))
    assert appearance.unlikeness(color_layout(scene(1), BOX)) == 0
    appearance.update(color_layout(image, BOX))
    assert appearance.unlikeness(color_layout(scene(1), BOX)) > 1


@given(st.floats(0, 1000), st.floats(0, 100), st.floats(0, 1000))
def test_what_is_demanded_is_bounded_and_grows_with_the_distance(unlikeness, accepted, distance):
    factor = demanded(unlikeness, accepted, distance)
    assert 1 <= factor <= MOST_FAR
    assert factor == 1 or unlikeness > accepted > 0
    assert factor <= demanded(unlikeness, accepted, 2 * distance)


def test_near_the_place_of_the_loss_looks_count_less():
    assert demanded(9.0, 1.0, 0.0) == MOST_NEAR
    assert demanded(9.0, 1.0, 100.0) == MOST_FAR
