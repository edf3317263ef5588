"""Rendering of textured layers, and the boxes they fill."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.training.compositing import covered_box, make_pose, paint, render, warp_elastically


def pose(x: float, y: float, w: float, h: float, rotation: float = 0.0, shear: float = 0.0, mirrored: bool = False):
    return make_pose(
        torch.tensor([[float(x), float(y)]]),
        torch.tensor([[float(w), float(h)]]),
        torch.tensor([rotation]),
        torch.tensor([shear]),
        torch.tensor([mirrored]),
    )


def test_a_texture_placed_over_the_whole_picture_is_the_picture():
    texture = torch.rand(1, 3, 24, 24)
    drawn = render(texture, pose(12, 12, 24, 24), (24, 24), "zeros")
    torch.testing.assert_close(drawn, texture, atol=1e-5, rtol=0)


def test_a_mirrored_texture():
    texture = torch.rand(1, 1, 16, 16)
    drawn = render(texture, pose(8, 8, 16, 16, mirrored=True), (16, 16), "zeros")
    torch.testing.assert_close(drawn, texture.flip(3), atol=1e-5, rtol=0)


def test_paint_covers_where_it_is_opaque():
    picture, layer = torch.zeros(1, 3, 4, 4), torch.ones(1, 4, 4, 4)
    layer[:, 3, :, 2:] = 0
    assert torch.equal(paint(picture, layer)[0, 0, 0], torch.tensor([1.0, 1.0, 0.0, 0.0]))


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(20, 76),
    y=st.floats(20, 76),
    w=st.floats(12, 40),
    h=st.floats(12, 40),
    rotation=st.floats(-3, 3),
    shear=st.floats(-0.5, 0.5),
    mirrored=st.booleans(),
)
def test_the_box_is_that_of_the_drawn_pixels(x, y, w, h, rotation, shear, mirrored):
    side = 64
    line = torch.linspace(-1, 1, side)
    coverage = ((line[None] ** 2 + 2 * line[:, None] ** 2) < 0.8).float()[None]  # an ellipse, not centred on its box
    placed = pose(x, y, w, h, rotation, shear, mirrored)
    box = covered_box(coverage, placed)[0]
    drawn = render(coverage[:, None], placed, (96, 96), "zeros")[0, 0] > 0.5
    columns, rows = torch.nonzero(drawn.any(dim=0))[:, 0], torch.nonzero(drawn.any(dim=1))[:, 0]
    clipped = torch.cat([box[:2], box[:2] + box[2:]]).clamp(0, 96)
    seen = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
    assert (clipped - seen).abs().max() < 1.6


def test_no_displacement_bends_nothing():
    texture = torch.rand(2, 4, 20, 20)
    bent = warp_elastically(texture, torch.zeros(2, 2, 4, 4))
    torch.testing.assert_close(bent, texture, atol=1e-5, rtol=0)
