"""Running trackers over sequences, their figures, and the command `trdimp eval`."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.cli.main import main
from trdimp_ros.evaluation.competitors import Answer, OpenCVTracker, opencv_tracker
from trdimp_ros.evaluation.datasets import find_sequences, read_sequence
from trdimp_ros.evaluation.plots import write_plots
from trdimp_ros.evaluation.runner import SequenceRun, figures, mean_figures, run_all, run_sequence, write_track
from trdimp_ros.testing.tiny import small_scene, tiny_competitor, tiny_network
from trdimp_ros.tracking import Box


class StandStill:
    """A competitor that never moves."""

    def initialize(self, frame, box):
        self.box = box

    def track(self, frame):
        return Answer(self.box, 0.5, "normal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The small rendered scene as two sequences; the target of the second is absent in two frames."""
    root = tmp_path_factory.mktemp("sequences")
    frames, boxes = small_scene()
    for name in ("one", "two"):
        (root / name / "img").mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            cv2.imwrite(str(root / name / "img" / f"{number:04d}.png"), frame[..., ::-1])
        lines = [",".join(str(value) for value in box) for box in boxes]
        if name == "two":
            lines[5] = lines[6] = "nan,nan,nan,nan"
        (root / name / "groundtruth_rect.txt").write_text("\n".join(lines) + "\n")
    return root


def answers(boxes, states=None, confidences=None):
    states = states or ["normal"] * len(boxes)
    confidences = confidences or [0.5] * len(boxes)
    return [Answer(*one) for one in zip(boxes, confidences, states, strict=True)]


def test_figures_of_a_known_track():
    truth = [Box(0, 0, 10, 10)] * 3 + [None, None] + [Box(50, 0, 10, 10)] * 3
    boxes = [Box(0, 0, 10, 10)] * 3 + [Box(0, 0, 10, 10)] * 3 + [Box(50, 0, 10, 10)] * 2
    states = ["normal", "normal", "not_found", "not_found", "uncertain", "normal", "normal", "normal"]
    run = SequenceRun("a", "b", answers(boxes, states), truth, [10.0] * 7)
    result = figures(run)
    assert result["auc"] == pytest.approx(5 / 6 * 20 / 21)
    assert result["precision"] == pytest.approx(5 / 6)
    assert result["average_overlap"] == pytest.approx(4 / 5)
    assert result["success_rate_75"] == pytest.approx(4 / 5)
    assert result["absent_not_normal"] == 1.0
    assert result["absent_not_found"] == 0.5
    assert result["present_not_found"] == pytest.approx(1 / 5)
    assert (result["returns"], result["found_again"], result["frames_to_recover"]) == (1, 1.0, 2)
    # Every answer says 0.5: one threshold, 7 frames predicted, 4 of them with an overlap of 1.
    assert result["long_term_precision"] == pytest.approx(4 / 7)
    assert result["long_term_recall"] == pytest.approx(4 / 5)
    assert result["long_term_f"] == pytest.approx(2 * (4 / 7) * (4 / 5) / (4 / 7 + 4 / 5))
    assert result["fps"] == pytest.approx(100)


def test_figures_that_do_not_apply_are_left_out_of_the_mean():
    truth = [Box(0, 0, 10, 10)] * 2
    run = SequenceRun("a", "b", answers(truth), truth, [10.0])
    assert math.isnan(figures(run)["absent_not_normal"])
    with_absent = SequenceRun(
        "a", "c", answers([truth[0]] * 3, ["normal", "normal", "not_found"]), [truth[0], None, None], [10.0] * 2
    )
    assert mean_figures([run, with_absent])["absent_not_normal"] == 0.5


def test_a_run_starts_with_the_truth_and_is_written(folder, tmp_path):
    run = run_sequence("still", StandStill(), read_sequence(folder / "two"))
    assert run.boxes[0] == run.truth[0]
    assert len(run.answers) == 12
    assert len(run.milliseconds) == 11
    assert run.confidences(present=False) == [0.5, 0.5]
    write_track(tmp_path / "track.csv", run)
    rows = (tmp_path / "track.csv").read_text().splitlines()
    assert len(rows) == 13
    assert rows[1].startswith("0,")
    assert rows[6].split(",")[7] == ""


def test_several_jobs_give_what_one_gives(folder):
    sequences = find_sequences([folder])
    alone = [run.boxes for run in run_all({"tiny": tiny_competitor}, sequences, jobs=1)]
    together = list(run_all({"tiny": tiny_competitor}, sequences, jobs=2))
    assert [run.sequence for run in together] == ["one", "two"]
    for run, boxes in zip(together, alone, strict=True):
        np.testing.assert_allclose(run.boxes, boxes, atol=1e-2)
        assert run.boxes[0] != run.boxes[5]


def test_plots_are_drawn(folder, tmp_path):
    runs = {"still": [run_sequence("still", StandStill(), read_sequence(folder / name)) for name in ("one", "two")]}
    runs["moved"] = [replace(run, answers=[*run.answers[:3], *run.answers[:-3]]) for run in runs["still"]]
    write_plots(tmp_path / "curves.png", runs)
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert min(picture.shape[:2]) > 900
    assert np.unique(picture).size > 10
    without = {name: [run for run in tracked if not run.has_absences] for name, tracked in runs.items()}
    write_plots(tmp_path / "short.png", without)
    assert cv2.imread(str(tmp_path / "short.png")).shape[0] < 600


class FailsAtOnce:
    """What OpenCV's trackers do on some targets at the image's edge."""

    def init(self, image, box):
        pass

    def update(self, image):
        cv2.resize(image[:0], (1, 1))


def test_an_opencv_tracker_that_fails_has_not_found_the_target(folder):
    run = run_sequence("fails", OpenCVTracker(FailsAtOnce), read_sequence(folder / "two"))
    assert {answer.state for answer in run.answers[1:]} == {"not_found"}
    assert figures(run)["long_term_f"] == 0.0


@pytest.mark.parametrize(
    ("name", "models", "message"),
    [
        ("nano", [], "needs 2 model files"),
        ("vit", [Path("/no/such.onnx")], "no such model file: /no/such.onnx"),
        ("kcf", [Path("x")], "needs 0 model files"),
    ],
)
def test_a_tracker_that_cannot_run_is_refused(name, models, message):
    with pytest.raises(ValueError, match=message):
        opencv_tracker(name, models)


def test_the_command(folder, tmp_path):
    save_network(tiny_network(), tmp_path / "tiny.safetensors", preset="compact")
    command = [sys.executable, "-m", "trdimp_ros.cli.main", "eval", folder, "--trackers", "compact,mil"]
    command += ["--weights", tmp_path / "tiny.safetensors", "--set", "image_sample_size=96", "--set", "box_method=iou"]
    command += ["--out", tmp_path / "out", "--json", tmp_path / "report.json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report) == {"compact", "mil"}
    assert set(report["mil"]["sequences"]) == {"one", "two"}
    assert 0 < report["mil"]["mean"]["auc"] <= 1
    assert report["mil"]["sequences"]["one"]["absent_not_normal"] is None
    assert (tmp_path / "out" / "compact" / "two.csv").is_file()
    assert (tmp_path / "out" / "curves.png").is_file()
    lines = done.stdout.splitlines()
    assert lines[0].split()[:5] == ["sequence", "frames", "absent", "compact", "AUC"]
    assert [line.split()[0] for line in lines if line.split()][1:6] == ["one", "two", "mean", "compact", "mil"]
    assert "SR.75" in done.stdout


def test_several_roots_keep_their_sequences_apart(folder, tmp_path, capsys):
    """Two roots with sequences of the same names: none may be lost."""
    for root in ("first", "second"):
        shutil.copytree(folder, tmp_path / root)
    save_network(tiny_network(), tmp_path / "tiny.safetensors", preset="compact")
    words = ["eval", tmp_path / "first", tmp_path / "second", tmp_path / "first" / "one", "--json", tmp_path / "r.json"]
    words += [
        "--weights",
        tmp_path / "tiny.safetensors",
        "--set",
        "image_sample_size=96",
        "--set",
        "box_method=iou",
        "--out",
        tmp_path / "out",
    ]
    assert main([str(word) for word in words]) == 0
    report = json.loads((tmp_path / "r.json").read_text())["compact"]
    assert list(report["sequences"]) == ["first/one", "first/two", "second/one", "second/two"]
    assert list(report["roots"]) == ["first", "second"]
    assert report["roots"]["first"]["auc"] == pytest.approx(report["mean"]["auc"])
    assert len(list((tmp_path / "out" / "compact").iterdir())) == 4
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert rows[-5:-1] == ["mean", "compact", "first", "second"]


def test_the_command_refuses_an_unknown_tracker(folder):
    command = [sys.executable, "-m", "trdimp_ros.cli.main", "eval", str(folder), "--trackers", "magic"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown tracker 'magic'" in done.stderr
