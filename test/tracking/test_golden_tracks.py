"""End-to-end runs against the original's.

FORCED: before every frame position, size and scale are set to the original's, everything else evolves. FREE: nothing is
set; compared up to the frame where the original's own second run is off (see the golden folder's README).
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from trdimp_ros.testing.golden_run import open_run, start
from trdimp_ros.testing.golden_set import SMALL_SET, GoldenSet, available_sets, golden_set
from trdimp_ros.tracking import State, Tracker, TrackResult

EVERYTHING = os.environ.get("TRDIMP_TESTS") == "all"
"""Whole runs take minutes; without it their beginning is compared: to just after the first update of the filter."""
FORCED_FRAMES, FREE_FRAMES = (None, None) if EVERYTHING else (24, 10)

RUNS = [path for folder in available_sets() for path in golden_set(folder).tracks]


@pytest.fixture(params=RUNS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def run(request: pytest.FixtureRequest) -> tuple[GoldenSet, Any]:
    return golden_set(request.param.parent), open_run(request.param)


def test_golden_small_set_has_runs():
    assert golden_set(SMALL_SET).tracks


def check_initialization(tracker: Tracker, run: Any) -> None:
    assert tracker.target.scale == pytest.approx(run["init_target_scale"], abs=1e-6)
    assert tracker.target.base_size == pytest.approx(run["init_base_target_sz"], abs=1e-3)
    samples = run["init_samples"]  # (N, C/32, H/2, W/2)
    stored = tracker.filter_memory.features[: len(samples), 0].permute(0, 3, 1, 2)[:, ::32, ::2, ::2].numpy()
    assert np.abs(stored - samples).max() <= 1e-5
    assert np.abs(tracker.filters.numpy() - run["init_filter"]).max() <= 2e-3 * np.abs(run["init_filter"]).max()


def check_frame(tracker: Tracker, result: TrackResult, run: Any, row: int, score_tolerance: float) -> float:
    """Everything but the box; returns the box's largest difference in pixels."""
    left, top, width, height = result.search_area
    assert result.state == run["flag"][row]
    assert (left, top, width - 1, height - 1) == tuple(run["search_box"][row])
    assert tracker.filter_memory.weights.stored == run["num_stored"][row]
    assert len(tracker.template_memory) == run["tf_memory"][row]
    weights = tracker.filter_memory.weights
    if run["replace_ind"][row] >= 0:
        assert weights.newest == run["replace_ind"][row]
    assert np.abs(weights.values - run["sample_weights"][row]).max() <= 1e-6
    scores = run["scores"][row][run["scale_ind"][row]]
    assert np.abs(tracker.score_map() - scores).max() <= score_tolerance
    return box_difference(tracker, result, run, row)


def box_difference(tracker: Tracker, result: TrackResult, run: Any, row: int) -> float:
    """Largest difference in pixels; where the target was not found, of the position and size that are kept."""
    if result.state == State.NOT_FOUND:
        expected = np.concatenate([run["pos"][row], run["target_sz"][row]])
        return float(np.abs(np.concatenate([tracker.target.position, tracker.target.size]) - expected).max())
    return float(np.abs(np.array(result.box) - run["box"][row]).max())


def check_boxes(differences: list[float]) -> None:
    off = np.array(differences)
    assert off.max() <= 1.0
    assert np.quantile(off, 0.9) <= 0.05


def test_golden_forced_run(run):
    golden, data = run
    tracker = start(golden, data)
    check_initialization(tracker, data)
    tolerance = max(1e-3, 5 * float(data["forced_scores_absdiff"].max()))
    differences = []
    for row, frame in enumerate(golden.clip[1 : int(data["frames"])][:FORCED_FRAMES]):
        if row:
            tracker.target.position = data["pos"][row - 1].copy()
            tracker.target.size = data["target_sz"][row - 1].copy()
            tracker.target.scale = np.float32(data["target_scale"][row - 1])
        differences.append(check_frame(tracker, tracker.track(frame), data, row, tolerance))
    check_boxes(differences)


def test_golden_free_run(run):
    golden, data = run
    tracker = start(golden, data)
    differences = []
    for row, frame in enumerate(golden.clip[1 : int(data["free_horizon"])][:FREE_FRAMES]):
        result = tracker.track(frame)
        assert result.state == data["flag"][row], f"frame {row + 1}"
        differences.append(box_difference(tracker, result, data, row))
    check_boxes(differences)
