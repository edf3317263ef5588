"""The direct box head: shapes, geometry, and what it knows of a target."""

from __future__ import annotations

import pytest
import torch

from trdimp_ros.models.direct_box_head import UNIT, BoxReference, DirectBoxHead, cell_centers, decode_boxes
from trdimp_ros.models.folding import fold_sequences


@pytest.fixture
def head() -> DirectBoxHead:
    torch.manual_seed(0)
    return DirectBoxHead(6, 10, 12).eval().requires_grad_(False)


def features(count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 6, 12, 16), torch.randn(count, 10, 6, 8)


def test_a_zero_output_is_a_box_of_two_units_round_each_cell():
    boxes = decode_boxes(torch.zeros(1, 5, 3, 4))
    assert boxes.shape == (1, 4, 3, 4)
    x, y, w, h = boxes[0, :, 2, 1].tolist()
    assert (w, h) == (2 * UNIT, 2 * UNIT)
    assert (x + w / 2, y + h / 2) == (12.0, 20.0)  # the second cell of the third row
    assert cell_centers((3, 4), torch.device("cpu"))[:, 2, 1].tolist() == [12.0, 20.0]


def test_shapes_of_reference_and_output(head):
    feature = head.search_feature(*features(2))
    assert feature.shape == (2, 12, 12, 16)
    reference = head.reference(feature, torch.tensor([[20.0, 20.0, 40.0, 30.0]] * 2))
    assert [tuple(one.shape[1:]) for one in reference] == list(head.reference_shapes)
    torch.testing.assert_close(reference.parts.norm(dim=2), torch.ones(2, 16))
    assert head(reference, feature).shape == (2, 5, 12, 16)


def test_targets_do_not_influence_each_other(head):
    feature = head.search_feature(*features(3))
    reference = head.reference(feature, torch.tensor([[20.0, 20.0, 40.0, 30.0]] * 3))
    together = head(reference, feature)
    alone = head(BoxReference(reference.gains[1:2], reference.parts[1:2]), feature[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)


def test_another_reference_gives_other_boxes(head):
    feature = head.search_feature(*features())
    first = head.reference(feature, torch.tensor([[16.0, 16.0, 40.0, 30.0]]))
    second = head.reference(feature, torch.tensor([[60.0, 40.0, 40.0, 30.0]]))
    assert not torch.allclose(head(first, feature), head(second, feature), rtol=0.0, atol=1e-6)


def test_folded_it_gives_the_same(head):
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    fine, coarse = features()
    boxes = torch.tensor([[20.0, 20.0, 40.0, 30.0]])

    def run() -> torch.Tensor:
        feature = head.search_feature(fine, coarse)
        return head(head.reference(feature, boxes), feature)

    before = run()
    fold_sequences(head)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in head.modules())
    torch.testing.assert_close(run(), before, rtol=1e-4, atol=1e-5)
