"""Ways to a box behind one interface."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.direct_box_head import UNIT, cell_centers
from trdimp_ros.testing.tiny import TINY_NETWORK, small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import MultiTracker, Tracker
from trdimp_ros.tracking.box_stage import FOLLOW, follow_size, mean_box_near


@pytest.fixture(scope="module")
def direct_network() -> TrDiMPNet:
    """The tiny network with a direct head that says: two units wide and high round every place."""
    torch.manual_seed(2)
    network = TrDiMPNet(replace(TINY_NETWORK, direct_channels=8)).eval()
    network.load_state_dict(tiny_network().state_dict(), strict=False)
    output = network.direct_box_head.output
    torch.nn.init.zeros_(output.weight)
    torch.nn.init.zeros_(output.bias)
    torch.nn.init.constant_(output.bias[4:], 20.0)  # of quality 1
    return network


def test_the_direct_box_lies_round_the_peak(direct_network):
    frames, boxes = small_scene()
    tracker = Tracker(direct_network, tiny_config(box_method="direct"))
    tracker.initialize(frames[0], boxes[0])
    result = tracker.track(frames[1])
    by_scale = Tracker(direct_network, tiny_config(use_iou_net=False))
    by_scale.initialize(frames[0], boxes[0])
    peak = by_scale.track(frames[1]).box
    scale = (boxes[0][2] * boxes[0][3]) ** 0.5 * tracker.config.search_area_scale / tracker.config.image_sample_size
    for side, before in ((result.box.w, boxes[0][2]), (result.box.h, boxes[0][3])):
        assert side == pytest.approx(before ** (1 - FOLLOW) * (2 * UNIT * scale) ** FOLLOW, rel=0.02)
    center = result.box.x + result.box.w / 2, result.box.y + result.box.h / 2
    assert center == pytest.approx((peak.x + peak.w / 2, peak.y + peak.h / 2), abs=1.5 * scale)


def test_the_mean_box_trusts_quality_and_nearness():
    raw = torch.zeros(1, 5, 12, 12)
    raw[:, 4] = -20.0
    raw[0, 4, 6, 5] = 5.0
    raw[0, :4, 6, 5] = torch.tensor([8.0, 12.0, 16.0, 20.0]).div(UNIT).log()
    x, y = cell_centers((12, 12), raw.device)[:, 6, 5].tolist()
    box, quality = mean_box_near(raw, torch.tensor([[x - 20, y - 20, 30.0, 30.0]]))
    assert quality.item() == pytest.approx(1.0, abs=0.01)
    assert box[0].tolist() == pytest.approx([x - 8, y - 12, 24, 32], abs=0.05)


def test_a_size_is_followed_as_far_as_it_is_believed():
    last, box = torch.tensor([[0.0, 0.0, 20.0, 40.0]]), torch.tensor([[10.0, 10.0, 40.0, 10.0]])
    for quality in (0.0, 0.5, 1.0):
        x, y, w, h = follow_size(last, box, torch.tensor([quality]))[0].tolist()
        assert (w, h) == pytest.approx((20 * 2 ** (FOLLOW * quality), 40 * 0.25 ** (FOLLOW * quality)))
        assert (x + w / 2, y + h / 2) == pytest.approx((30.0, 15.0))


@pytest.mark.parametrize("method", ["direct", "direct_iou"])
def test_several_targets_are_as_good_as_one(direct_network, method):
    frames, boxes = small_scene()
    config = tiny_config(box_method=method)
    alone = Tracker(direct_network, config)
    alone.initialize(frames[0], boxes[0])
    several = MultiTracker(direct_network, config, max_targets=2)
    for target in (0, 1):
        several.add(target, frames[0], boxes[0])
    single = alone.track(frames[1])
    for result in several.track(frames[1]).values():
        assert tuple(result.box) == pytest.approx(tuple(single.box), abs=0.05)


def test_weights_without_direct_head_are_refused():
    with pytest.raises(ValueError, match="needs weights with a direct box head"):
        Tracker(tiny_network(), tiny_config(box_method="direct"))
