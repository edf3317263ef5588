"""The ROS layer's small parts, without processes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vision_msgs.msg import Detection2D, Detection2DArray

import trdimp_ros
from trdimp_ros.ros.clicks import MAX_PAUSE, TwoCorners
from trdimp_ros.ros.follow_control import FollowGains, follow
from trdimp_ros.ros.image_plane import pixel_of_point, point_of_pixel
from trdimp_ros.ros.limited_log import LimitedLog
from trdimp_ros.ros.messages import box_message, box_of_message, duration_message, nanoseconds
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.tracking import Box

ROOT = Path(__file__).parents[2]
coordinate = st.floats(-1e5, 1e5)
length = st.floats(0.01, 1e5)


@given(coordinate, coordinate, length, length)
def test_a_box_survives_its_message(x, y, w, h):
    assert np.allclose(box_of_message(box_message(Box(x, y, w, h))), (x, y, w, h), atol=1e-6)


@given(coordinate, coordinate)
def test_a_pixel_survives_the_image_plane(x, y):
    point = point_of_pixel(x, y)
    assert np.allclose(pixel_of_point(point.x, point.y), (x, y))


@given(st.floats(-10, 1e9))
def test_durations_are_never_negative(seconds):
    assert nanoseconds(duration_message(seconds)) == pytest.approx(max(seconds, 0) * 1e9, abs=1)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (Detection2D, "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea"),
        (Detection2DArray, "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968"),
    ],
)
def test_vision_msgs_are_wire_compatible_with_upstream(message, expected):
    description = Path(_share("vision_msgs"), "msg", f"{message.__name__}.json")
    if not description.exists():
        pytest.skip("ROS before Iron has no type hashes")
    hashes = json.loads(description.read_text())["type_hashes"]
    found = next(
        entry["hash_string"] for entry in hashes if entry["type_name"] == f"vision_msgs/msg/{message.__name__}"
    )
    assert found == expected


def _share(package: str) -> str:
    from ament_index_python.packages import get_package_share_directory  # noqa: PLC0415

    return get_package_share_directory(package)


def test_versions_agree():
    package = re.search(r"<version>(.*)</version>", (ROOT / "package.xml").read_text())
    assert package is not None
    assert package[1] == trdimp_ros.__version__


class TestClicks:
    def test_two_corners_in_any_order_are_a_box(self):
        now = [0.0]
        corners = TwoCorners(lambda: now[0])
        assert corners.click(50, 20) is None
        now[0] = 1.0
        assert corners.click(10, 60) == Box(10, 20, 40, 40)
        assert corners.click(0, 0) is None
        now[0] += MAX_PAUSE + 1
        assert corners.click(5, 5) is None, "the first click was forgotten"
        now[0] += 1
        assert corners.click(9, 9) == Box(5, 5, 4, 4)


class TestLimitedLog:
    def test_a_kind_is_said_once_and_not_every_kind(self):
        lines = []
        log = LimitedLog(lines.append, kinds=3)
        for number in range(1500):
            log.once(f"bad encoding {number}")
            log.once("bad encoding 0")
        assert len(lines) == 4
        assert "/diagnostics only" in lines[-1]

    def test_a_flood_is_thinned_out_and_says_so(self):
        lines, now = [], [0.0]
        log = LimitedLog(lines.append, burst=5, clock=lambda: now[0])
        for _ in range(1000):
            log.now_and_then("refused")
        assert lines == ["refused"] * 5
        now[0] = 2.0
        log.now_and_then("refused")
        assert lines[-1] == "refused (995 more in the meantime)"

    def test_what_a_terminal_would_act_upon_is_escaped(self):
        lines = []
        LimitedLog(lines.append).now_and_then("init refused (\x1b[2Jcup\nERROR): no")
        assert lines == [r"init refused (\x1b[2Jcup\nERROR): no"]

    def test_no_line_is_of_any_length(self):
        lines = []
        log = LimitedLog(lines.append)
        log.once("x" * 10**6)
        log.now_and_then("y" * 10**6)
        assert all(len(line) < 500 for line in lines)


class TestFollowControl:
    gains = FollowGains(target_height=0.5)

    def test_in_the_middle_at_the_wanted_size_it_stands(self):
        assert follow(Box(270, 120, 100, 240), 640, 480, self.gains) == (0.0, 0.0)

    def test_it_turns_towards_the_target_and_drives_to_its_size(self):
        speed, turn = follow(Box(0, 0, 40, 60), 640, 480, self.gains)
        assert turn > 0, "the target is on the left"
        assert speed > 0, "it is too small: far away"
        speed, turn = follow(Box(600, 0, 40, 480), 640, 480, self.gains)
        assert turn < 0
        assert speed < 0

    @given(st.builds(Box, coordinate, coordinate, length, length))
    def test_limits_hold_for_any_box(self, box):
        speed, turn = follow(box, 640, 480, self.gains)
        assert abs(speed) <= self.gains.max_speed
        assert abs(turn) <= self.gains.max_turn

    def test_bad_gains_are_refused(self):
        with pytest.raises(ValueError, match="max_turn"):
            FollowGains(max_turn=-1.0)
        with pytest.raises(ValueError, match="target_height"):
            FollowGains(target_height=0.0)


def test_latency_percentiles():
    statistics = Statistics()
    assert statistics.latency_percentiles() == (0.0, 0.0)
    for milliseconds in range(1, 101):
        statistics.published(milliseconds / 1000)
    median, high = statistics.latency_percentiles()
    assert median == pytest.approx(50.5)
    assert high == pytest.approx(99.01, abs=0.1)
