"""The second peak of a score map, in pixels of the image, and the boxes that are looked at there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Box, TrackerConfig
from trdimp_ros.tracking.appearance_tracker import AppearanceTracker
from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.localization import Rule, State
from trdimp_ros.tracking.rivals import SHIFTS, boxes_near, second_peak
from trdimp_ros.tracking.target import LocatedFrame

SIZE = np.array([40.0, 30.0], np.float32)


def located(scale: float) -> LocatedFrame:
    nowhere = np.zeros(2, np.float32)
    decision = FrameDecision(int(Rule.NORMAL), State.NORMAL, 0, 1.0, nowhere, SIZE, np.float32(1.0), nowhere)
    return LocatedFrame(decision, np.array([100.0, 200.0], np.float32), scale)


def test_the_second_peak_is_found_where_it_is_in_the_image():
    """An even filter on 6 x 6 cells of 16 pixels gives 7 x 7 scores, the middle one at the search area's centre."""
    scores = torch.zeros(7, 7)
    scores[3, 3], scores[3, 4], scores[6, 1] = 1.0, 0.9, 0.5
    config = TrackerConfig(image_sample_size=96, target_neighborhood_scale=2.2)
    place, score = second_peak(scores, located(2.0), SIZE, config, filter_size=4)
    assert score == 0.5, "what belongs to the first peak is not the second"
    assert place.tolist() == [100 + 3 * 32, 200 - 2 * 32]


def test_boxes_near_a_place_lie_round_it():
    boxes = boxes_near(np.array([50.0, 60.0], np.float32), SIZE)
    assert len(boxes) == len(SHIFTS) ** 2
    assert {(round(box.h), round(box.w)) for box in boxes} == {(40, 30)}
    middle = np.mean([(box.y + (box.h - 1) / 2, box.x + (box.w - 1) / 2) for box in boxes], axis=0)
    assert np.abs(middle - [50, 60]).max() < 1e-3


def test_a_relocated_target_is_looked_for_and_learned_at_its_new_place():
    frames, boxes = small_scene()
    tracker = AppearanceTracker(tiny_network(), tiny_config(search_area_scale=2.5), 1)
    tracker.add("sign", frames[0], boxes[0])
    before = tracker.locate(frames[1])["sign"].search_area
    assert tracker.second_peak("sign", SIZE) is not None
    place = np.array([30.0, 40.0], np.float32)
    tracker.relocate("sign", place, SIZE)
    assert tracker.target("sign").position.tolist() == [30.0, 40.0]
    tracker.learn()
    assert tracker.second_peak("sign", SIZE) is None, "a frame that was learned is gone"
    after = tracker.locate(frames[2])["sign"].search_area
    assert after.x < before.x
    assert after.y < before.y


def test_without_an_appearance_head_that_is_said():
    frames, _ = small_scene()
    tracker = AppearanceTracker(tiny_network(), tiny_config(), 1)
    assert not tracker.has_appearance_head
    with pytest.raises(ValueError, match="no appearance head"):
        tracker.embeddings(frames[0], [Box(1, 1, 20, 20)])
