"""The layouts of OTB, GOT-10k and LaSOT."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from trdimp_ros.evaluation.datasets import read_sequence, sequence_folders
from trdimp_ros.tracking import Box


def write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        cv2.imwrite(str(folder / f"{number:08d}.jpg"), np.zeros((40, 60, 3), np.uint8))


def test_otb(tmp_path):
    write_images(tmp_path / "Ball" / "img", 3)
    (tmp_path / "Ball" / "groundtruth_rect.txt").write_text("1,2,3,4\nnan,nan,nan,nan\n5\t6\t7\t8\n")
    sequence = read_sequence(tmp_path / "Ball")
    assert sequence.name == "Ball"
    assert sequence.truth == [Box(1, 2, 3, 4), None, Box(5, 6, 7, 8)]
    assert len(list(sequence.frames)) == 3


def test_got10k(tmp_path):
    write_images(tmp_path / "GOT-10k_Val_000001", 3)
    folder = tmp_path / "GOT-10k_Val_000001"
    (folder / "groundtruth.txt").write_text("1.0,2.0,3.0,4.0\n0,0,1,1\n5,6,7,8\n")
    (folder / "absence.label").write_text("0\n1\n0\n")
    assert read_sequence(folder).truth == [Box(1, 2, 3, 4), None, Box(5, 6, 7, 8)]


def test_lasot(tmp_path):
    folder = tmp_path / "cup" / "cup-1"
    write_images(folder / "img", 4)
    (folder / "groundtruth.txt").write_text("1,2,3,4\n1,2,3,4\n0,0,0,0\n5,6,7,8\n")
    (folder / "full_occlusion.txt").write_text("0,1,0,0\n")
    (folder / "out_of_view.txt").write_text("0,0,1,0\n")
    assert read_sequence(folder).truth == [Box(1, 2, 3, 4), None, None, Box(5, 6, 7, 8)]
    assert sequence_folders(tmp_path) == [folder]
    assert sequence_folders(folder) == [folder]


def test_images_beyond_the_truth_are_left_out(tmp_path):
    write_images(tmp_path / "img", 5)
    (tmp_path / "groundtruth_rect.txt").write_text("1,2,3,4\n" * 3)
    assert len(list(read_sequence(tmp_path).frames)) == 3


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no sequences"):
        sequence_folders(tmp_path)
    write_images(tmp_path / "img", 2)
    with pytest.raises(ValueError, match="no ground truth"):
        read_sequence(tmp_path)
    truth = tmp_path / "groundtruth.txt"
    truth.write_text("1,2,3,4\n" * 3)
    with pytest.raises(ValueError, match="3 boxes for 2 images"):
        read_sequence(tmp_path)
    truth.write_text("nan,nan,nan,nan\n1,2,3,4\n")
    with pytest.raises(ValueError, match="the first frame has no target"):
        read_sequence(tmp_path)
    (tmp_path / "absence.label").write_text("0\n")
    with pytest.raises(ValueError, match="1 entries for 2 boxes"):
        read_sequence(tmp_path)
