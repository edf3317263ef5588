"""Properties of cropping and geometry that must hold for any input."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.cropping import MAX_SHRINK, plan_crop, read_crop, sample_patch, write_pixels
from trdimp_ros.tracking.geometry import Box, box_at, intersection_over_union, position_and_size

sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))
coordinates = st.floats(-1000, 1000, width=32)
modes = st.sampled_from(["replicate", "inside", "inside_major"])
OUTPUT = (32, 32)


@given(sizes, coordinates, coordinates, st.floats(0.125, 20000, width=32), modes, st.sampled_from([None, 1.5]))
def test_a_crop_reads_only_what_it_needs(size, row, column, side, mode, max_scale_change):
    image = np.arange(size[0] * size[1] * 3, dtype=np.uint32).astype(np.uint8).reshape(*size, 3)
    center, crop_size = np.array([row, column], np.float32), np.array([side, side], np.float32)
    plan = plan_crop(size, center, crop_size, OUTPUT, mode, max_scale_change)
    crop = read_crop(image, plan)
    limit = MAX_SHRINK * OUTPUT[0] + 2
    assert 1 <= crop.pixels.shape[0] <= limit
    assert 1 <= crop.pixels.shape[1] <= limit
    for taps, length in ((crop.taps(axis, OUTPUT[axis]), crop.pixels.shape[axis]) for axis in (0, 1)):
        assert taps.first.min() >= 0
        assert taps.second.max() < length
    assert np.shares_memory(crop.pixels, image)
    patch, where = sample_patch(image, center, crop_size, OUTPUT, mode, max_scale_change)
    assert patch.shape == (1, 3, *OUTPUT)
    assert torch.isfinite(patch).all()
    assert where[2] > where[0]


def test_a_crop_of_the_output_size_is_a_copy():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3)).astype(np.uint8)
    patch, (top, left, bottom, right) = sample_patch(
        image, np.array([20, 30], np.float32), np.array([32, 32], np.float32), OUTPUT
    )
    expected = torch.from_numpy(image[top:bottom, left:right]).permute(2, 0, 1).float()
    assert torch.equal(patch[0], expected)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 3))
def test_pixels_are_written_line_by_line(height, width, step):
    image = np.random.default_rng(0).integers(0, 256, (height * step, width * step, 3)).astype(np.uint8)
    crop, written = image[::step, ::step], np.zeros((height * width, 4), np.uint8)
    write_pixels(crop, written)
    assert np.array_equal(written[:, :3], crop.reshape(-1, 3))


@given(*[st.floats(-500, 500, width=32)] * 2, *[st.floats(0.5, 500, width=32)] * 2)
def test_positions_and_boxes_are_inverse(x, y, w, h):
    back = box_at(*position_and_size(Box(x, y, w, h)))
    assert np.allclose(back, (x, y, w, h), atol=1e-3)


@given(st.lists(st.floats(-50, 50), min_size=4, max_size=4), st.lists(st.floats(1, 50), min_size=4, max_size=4))
def test_overlap_is_symmetric_and_bounded(corners, lengths):
    a, b = Box(*corners[:2], *lengths[:2]), Box(*corners[2:], *lengths[2:])
    overlap = intersection_over_union(a, b)
    assert 0 <= overlap <= 1
    assert overlap == intersection_over_union(b, a)
    assert abs(intersection_over_union(a, a) - 1) < 1e-9
