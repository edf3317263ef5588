"""What is done to pictures."""

from __future__ import annotations

import pytest
import torch

from trdimp_ros.training import degradation


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def smooth_pictures(count: int = 4, side: int = 32) -> torch.Tensor:
    torch.manual_seed(0)
    small = torch.rand(count, 3, 5, 5)
    return torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear")


@pytest.mark.parametrize("name", ["blur", "lower_resolution", "add_noise", "compress"])
def test_a_share_of_nothing_changes_nothing_and_of_all_changes_all(name, generator):
    pictures = smooth_pictures()
    change = getattr(degradation, name)
    assert torch.equal(change(pictures, 0.0, generator), pictures)
    changed = change(pictures, 1.0, generator)
    assert changed.shape == pictures.shape
    difference = (changed - pictures).abs().mean(dim=(1, 2, 3))
    assert (difference > 1e-5).all()
    assert (difference < 0.1).all()


@pytest.mark.parametrize("name", ["blur", "lower_resolution", "compress"])
def test_a_flat_picture_stays_nearly_flat(name, generator):
    pictures = torch.full((3, 3, 32, 32), 0.5)
    changed = getattr(degradation, name)(pictures, 1.0, generator)
    assert (changed - 0.5).abs().max() < 0.02


def test_no_strength_of_light_changes_nothing(generator):
    pictures = smooth_pictures()
    torch.testing.assert_close(degradation.change_light(pictures, torch.zeros(4), generator), pictures)


def test_grey_is_grey_where_asked(generator):
    changed = degradation.remove_color(smooth_pictures(2), torch.tensor([True, False]))
    assert torch.equal(changed[0, 0], changed[0, 1])
    assert not torch.equal(changed[1, 0], changed[1, 1])


def test_compression_needs_whole_blocks(generator):
    with pytest.raises(ValueError, match="multiples of 8, got 30x32"):
        degradation.compress(torch.rand(1, 3, 30, 32), 1.0, generator)
