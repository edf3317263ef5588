"""Overlap measures."""

from __future__ import annotations

import pytest

from trdimp_ros.evaluation.metrics import overlaps, read_boxes, success_auc
from trdimp_ros.tracking import Box


def test_overlaps_leave_out_frames_without_target():
    box = Box(0, 0, 10, 10)
    assert overlaps([box, box, box], [box, None, Box(5, 0, 10, 10)]) == [1.0, pytest.approx(50 / 150)]


def test_success_auc_counts_thresholds():
    # An overlap of 1 exceeds the thresholds 0, 0.05, ..., 0.95: 20 of 21.
    assert success_auc([1.0]) == pytest.approx(20 / 21)
    assert success_auc([0.0]) == 0.0
    assert success_auc([1.0, 0.0]) == pytest.approx(10 / 21)
    with pytest.raises(ValueError, match="at least one"):
        success_auc([])


def test_ground_truth_files(tmp_path):
    path = tmp_path / "truth.txt"
    path.write_text("1,2,3,4\n1\t2\t3\t4\n\nnan,nan,nan,nan\n1.5 2 3 4\n")
    assert read_boxes(path) == [Box(1, 2, 3, 4), Box(1, 2, 3, 4), None, Box(1.5, 2, 3, 4)]
    path.write_text("1,2,3,4\n1,2,x,4\n")
    with pytest.raises(ValueError, match="line 2"):
        read_boxes(path)
    with pytest.raises(ValueError, match="no such"):
        read_boxes(tmp_path / "none.txt")
