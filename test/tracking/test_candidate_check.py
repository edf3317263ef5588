"""What a lost target's filter says of a detector's box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.tracking.candidate_check import ALMOST, area_round, likeness, size_factor
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.image_search import ScorePeak
from trdimp_ros.tracking.target import TargetState
from trdimp_ros.tracking.whereabouts import Whereabouts

CONFIG = TrackerConfig(reacquire_threshold=0.4, reacquire_share=0.5, reacquire_margin=0.7)
BOX = Box(100, 50, 21, 41)  # its middle pixel is at row 70, column 110


def pair(first: float, second: float) -> np.ndarray:
    return np.array([first, second], np.float32)


def whereabouts(height: float = 40.0, width: float = 20.0, usual: float = 0.9) -> Whereabouts:
    size = pair(height, width)
    scale = np.float32(0.5)
    fit = TargetState(pair(0, 0), size, scale, size, clear_size=size, clear_scale=scale, usual_confidence=usual)
    return Whereabouts(fit)


def peak(confidence: float, second: float = 0.0, row: float = 70.0, column: float = 110.0) -> ScorePeak:
    return ScorePeak(pair(row, column), confidence, second)


def test_the_area_is_round_the_box_at_its_size_and_in_the_targets_shape():
    area = area_round(Box(100, 50, 40, 80), 3, whereabouts())
    assert area is not None
    assert area.target == 3
    assert area.center.tolist() == [89.5, 119.5]
    assert area.size.tolist() == [80, 40]
    assert area.scale == 1.0
    assert size_factor(whereabouts(), Box(0, 0, 80, 40)) == pytest.approx(2.0)


@pytest.mark.parametrize("box", [Box(0, 0, 100, 200), Box(0, 0, 4, 8), Box(0, 0, 60, 20)])
def test_a_size_that_it_cannot_have_is_not_looked_at(box):
    assert area_round(box, 0, whereabouts()) is None


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (peak(0.9), 2.0),  # in units of half of the usual 0.9
        (peak(0.45), 1.0),
        (peak(0.2), 0.2 / 0.45),
        (peak(0.9, second=0.7), ALMOST),  # two look alike
        (peak(0.9, second=0.3, row=95), 0.3 / 0.45),  # the best is beside the box
        (peak(0.9, second=0.8, column=125), ALMOST),
        (peak(-0.1), 0.0),
    ],
)
def test_likeness_is_in_units_of_what_is_needed(found, wanted):
    assert likeness(found, BOX, whereabouts(), CONFIG) == pytest.approx(wanted)


@given(st.floats(-1, 3), st.floats(-1, 3), st.floats(0, 140), st.floats(50, 170), st.floats(0, 2))
def test_it_is_the_target_only_where_it_is_clear_of_all_else(confidence, second, row, column, usual):
    about = whereabouts(usual=usual)
    value = likeness(peak(confidence, min(second, confidence), row, column), BOX, about, CONFIG)
    assert value >= 0
    if value >= 1:
        assert confidence >= about.threshold(CONFIG) - 1e-6
        assert second <= CONFIG.reacquire_margin * confidence or second > confidence
        assert abs(row - 70) <= 20.5 and abs(column - 110) <= 10.5
