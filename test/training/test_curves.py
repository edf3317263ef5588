"""The picture of a training run shows what its log says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.media.sources import read_image
from trdimp_ros.training.curves import read_log, smoothed, write_curves


def test_a_log_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    log = tmp_path / "log.csv"
    rows = "".join(f"{step},{4 - step / 50},{2 - step / 100},1e-3,1.5\n" for step in range(1, 101))
    log.write_text("step,total,box,learning_rate,seconds\n" + rows)
    assert read_log(log)["total"][-1] == 2
    write_curves(log, tmp_path / "curves.png")
    picture = read_image(tmp_path / "curves.png")
    assert (picture < 128).any(axis=2).sum() > 500


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300))
def test_smoothing_keeps_the_ends_and_stays_within_the_values(values):
    result = smoothed(np.array(values))
    assert result[0] == pytest.approx(values[0], abs=1e-3)
    assert result[-1] == pytest.approx(values[-1], abs=1e-3)
    assert result.min() >= min(values) - 1e-3
    assert result.max() <= max(values) + 1e-3
