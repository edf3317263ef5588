"""The MOTChallenge text format."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.evaluation.motchallenge import LabelledBox, read_mot, tracks_by_id, write_mot
from trdimp_ros.tracking import Box


def test_the_benchmarks_numbers_start_at_one(tmp_path):
    write_mot(tmp_path / "a.txt", [LabelledBox(0, 2, Box(9, 19, 30, 40), 0.5), LabelledBox(0, 1, Box(0, 0, 1, 1))])
    lines = (tmp_path / "a.txt").read_text().splitlines()
    assert lines == ["1,1,1.00,1.00,1.00,1.00,1.00000,-1,-1,-1", "1,2,10.00,20.00,30.00,40.00,0.50000,-1,-1,-1"]


def test_ground_truth_of_the_benchmark_is_read(tmp_path):
    """With class and visibility in the last columns; a box that is not to be considered has confidence 0."""
    file = tmp_path / "gt.txt"
    file.write_text("1,1,912,484,97,109,0,7,1\n2,2,10,20,30,40,1,1,0.8\n\n3,2,11,20,30,40,1,1,0.8\n")
    rows = read_mot(file)
    assert rows[0] == LabelledBox(0, 1, Box(911, 483, 97, 109), 0)
    assert tracks_by_id(rows) == {2: {1: Box(9, 19, 30, 40), 2: Box(10, 19, 30, 40)}}


@pytest.mark.parametrize(
    "text",
    ["1,1,2,3,4", "one,1,2,3,4,5", "0,1,2,3,4,5", "1.5,1,2,3,4,5", "1,0,2,3,4,5", "1,-1,2,3,4,5", "1,1,2,3,0,5",
     "1,1,nan,3,4,5", "1,1,inf,3,4,5", "1e300,1,2,3,4,5", "1,1,2,3,4,1e9", "\x00\xff"],
)  # fmt: skip
def test_a_wrong_line_is_named(tmp_path, text):
    (tmp_path / "a.txt").write_text(f"1,9,1,1,1,1\n{text}\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 2: not frame,id"):
        read_mot(tmp_path / "a.txt")


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such"):
        read_mot(tmp_path / "none.txt")
    (tmp_path / "a.txt").write_text("1,1,1,1,1,1\n1,1,5,5,5,5\n")
    with pytest.raises(ValueError, match="id 1 is twice in frame 1"):
        read_mot(tmp_path / "a.txt")
    for row in (LabelledBox(0, 0, Box(0, 0, 1, 1)), LabelledBox(-1, 1, Box(0, 0, 1, 1))):
        with pytest.raises(ValueError, match="ids from 1"):
            write_mot(tmp_path / "b.txt", [row])
    assert not (tmp_path / "b.txt").exists()


hundredths = st.integers(-10_000, 100_000).map(lambda value: value / 100)
sides = st.integers(1, 100_000).map(lambda value: value / 100)
keys = st.lists(st.tuples(st.integers(0, 9999), st.integers(1, 999)), unique=True, max_size=20)


@given(keys=keys, x=hundredths, y=hundredths, w=sides, h=sides, confidence=st.integers(0, 1000).map(lambda v: v / 1000))
def test_what_is_written_is_read(tmp_path_factory, keys, x, y, w, h, confidence):
    file: Path = tmp_path_factory.mktemp("mot") / "a.txt"
    rows = [LabelledBox(frame, target, Box(x, y, w, h), confidence) for frame, target in keys]
    write_mot(file, rows)
    read = read_mot(file)
    assert [(row.frame, row.id) for row in read] == sorted(keys)
    for row in read:
        assert row.box == pytest.approx((x, y, w, h))
        assert row.confidence == pytest.approx(confidence)
