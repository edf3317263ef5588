"""The motion between two images: known warps are found, what cannot be trusted is said to be so."""

from __future__ import annotations

import math

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.testing.camera_images import background, noisy, warped
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.image_motion import estimate_motion, grey_copy
from trdimp_ros.tracking.similarity import Similarity


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.95, 1.05),
    st.floats(-0.1, 0.1),
    st.floats(-25, 25),
    st.floats(-20, 20),
    st.sampled_from([(240, 320), (480, 640), (720, 480)]),
)
def test_known_warps_are_found(scale, turn, x, y, size):
    height, width = size
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    # About the middle, so that the numbers are those of a turning camera.
    cx, cy = width / 2, height / 2
    motion = Similarity(a, b, cx - a * cx + b * cy + x, cy - b * cx - a * cy + y)
    image = background(height, width)
    estimate = estimate_motion(grey_copy(image), grey_copy(warped(image, motion)))
    assert estimate.trusted
    for point in ((cx, cy), (0.2 * width, 0.3 * height), (0.8 * width, 0.7 * height)):
        assert math.dist(estimate.motion.apply(*point), motion.apply(*point)) < 1.5


def test_the_copy_is_small_and_a_small_image_keeps_its_size():
    large = grey_copy(np.zeros((1080, 1920, 3), np.uint8))
    assert large.pixels.shape == (108, 192)
    assert large.factor == 10
    assert grey_copy(np.zeros((60, 80, 3), np.uint8)).pixels.shape == (60, 80)


def test_what_moves_in_the_targets_box_does_not_count():
    image = background()
    later = image.copy()
    later[5:235, 50:270] = np.roll(image, 8, axis=1)[5:235, 50:270]  # most of the corners
    earlier, box = grey_copy(image), Box(50, 5, 220, 230)
    estimate = estimate_motion(earlier, grey_copy(later), [box])
    assert estimate.trusted
    assert estimate.motion.displacement(320, 240) < 1.0
    assert estimate_motion(earlier, grey_copy(later)).motion.displacement(320, 240) > 5.0


def test_the_answer_is_the_same_every_time():
    first, second = grey_copy(background()), grey_copy(noisy(warped(background(), Similarity(shift_x=5.0)), 1))
    cv2.setRNGSeed(1)
    one = estimate_motion(first, second)
    cv2.setRNGSeed(99)
    assert estimate_motion(first, second) == one
