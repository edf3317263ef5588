"""The command, run as a user runs it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from trdimp_ros.cli.main import main
from trdimp_ros.evaluation.motchallenge import read_mot
from trdimp_ros.media.sources import open_source
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.testing.tiny import tiny_network
from trdimp_ros.tracking import Tracker, TrackerConfig, preset

TINY = ["--set", "image_sample_size=96", "--set", "target_not_found_threshold=-1"]


def test_track_writes_everything_it_is_asked_for(sequence, weights, tmp_path, command):
    csv_file, json_file, video = tmp_path / "t.csv", tmp_path / "t.json", tmp_path / "t.mp4"
    truth = sequence / "groundtruth_rect.txt"
    done = command(
        "track", sequence, "--truth", truth, "--weights", weights, *TINY,
        "--csv", csv_file, "--json", json_file, "--save", video,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(csv_file.open()))
    assert list(rows[0]) == ["frame", "x", "y", "w", "h", "confidence", "state", "milliseconds"]
    assert [row["frame"] for row in rows] == [str(index) for index in range(12)]
    report = json.loads(json_file.read_text())
    assert report["frames"] == 12
    assert report["normal"] + report["hard_negative"] + report["uncertain"] + report["not_found"] == 11
    assert 0 < report["success_auc"] <= 1
    assert f"success_auc={report['success_auc']:g}" in done.stdout
    assert len(list(open_source(video))) == 12


def test_track_gives_what_the_library_gives(sequence, weights, tmp_path):
    csv_file = tmp_path / "t.csv"
    assert (
        main(
            ["track", str(sequence), "--init", "20,30,25,20", "--weights", str(weights), *TINY, "--csv", str(csv_file)]
        )
        == 0
    )
    config = changed_by_text(preset("trdimp"), [text for text in TINY if text != "--set"])
    tracker = Tracker(tiny_network(), config)
    frames = list(open_source(sequence))
    tracker.initialize(frames[0], (20, 30, 25, 20))
    rows = list(csv.DictReader(csv_file.open()))[1:]
    for row, frame in zip(rows, frames[1:], strict=True):
        result = tracker.track(frame)
        assert np.allclose([float(row[name]) for name in "xywh"], result.box, atol=6e-4)
        assert row["state"] == result.state.name.lower()


def test_several_targets_have_ids(sequence, weights, tmp_path, capsys):
    """Each as if it were tracked alone; in the CSV, MOTChallenge's format, the video and the report."""
    boxes = ["20,30,25,20", "90,40,30,30"]
    csv_file, mot, report = tmp_path / "t.csv", tmp_path / "t.txt", tmp_path / "t.json"
    words = ["track", sequence, "--weights", weights, *TINY]
    several = [word for box in boxes for word in ("--init", box)]
    outputs = ["--csv", csv_file, "--mot", mot, "--json", report, "--save", tmp_path / "t.mp4"]
    assert main([str(word) for word in [*words, *several, *outputs]]) == 0
    rows = list(csv.DictReader(csv_file.open()))
    assert [row["id"] for row in rows[:4]] == ["1", "2", "1", "2"]
    for number, box in enumerate(boxes, start=1):
        alone = tmp_path / f"{number}.csv"
        assert main([str(word) for word in [*words, "--init", box, "--csv", alone]]) == 0
        together = [row for row in rows if row["id"] == str(number)]
        for one, other in zip(csv.DictReader(alone.open()), together, strict=True):
            pairs = [(float(one[name]), float(other[name])) for name in "xywh"]
            assert np.allclose(*zip(*pairs, strict=True), atol=0.02)
    found = [row for row in rows if row["state"] != "not_found"]
    boxes_of = {(row.frame, row.id): row.box for row in read_mot(mot)}
    assert len(boxes_of) == len(found)
    for row in found:
        box = boxes_of[int(row["frame"]), int(row["id"])]
        assert np.allclose(box, [float(row[name]) for name in "xywh"], atol=0.01)
    assert set(json.loads(report.read_text())["targets"]) == {"1", "2"}
    assert "target 2: " in capsys.readouterr().out
    assert len(list(open_source(tmp_path / "t.mp4"))) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["track", "nowhere.mp4", "--init", "1,2,3,4"], "no such video file or folder of images: nowhere.mp4"),
        (["track", "{sequence}"], "give --init"),
        (["track", "{sequence}", "--init", "900,0,5,5"], "must overlap the image of 160x120"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--save", "x.gif"], ".mp4 or .avi"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--weights", "none.pth.tar"], "none.pth.tar: does not exist"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--device", "tpu"], "unknown device 'tpu'"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--set", "speed=9"], "unknown parameter 'speed'"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--set", "learning_rate=9"], "from 0 to 1, got 9"),
        (["convert", "none.pth.tar", "w.safetensors"], "none.pth.tar: does not exist"),
        (["bench", "--frames", "3"], "at least 20"),
        (["bench", "--threads", "-1"], "threads must be 0"),
        (["track", "{sequence}", "--init", "1,2,30,40", "--threads", "-1"], "threads must be 0"),
    ],
)
def test_bad_input_is_one_clear_line(sequence, capsys, arguments, message):
    assert main([text.format(sequence=sequence) for text in arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1]
    assert error[-1].startswith(f"trdimp {arguments[0]}: ")


def test_a_bad_box_is_a_usage_error(sequence, command):
    done = command("track", sequence, "--init", "1,2,3")
    assert done.returncode == 2
    assert "a box is x,y,w,h" in done.stderr


def test_convert_writes_weights_that_track_uses(weights, tmp_path, capsys):
    target = tmp_path / "copy.safetensors"
    assert main(["convert", str(weights), str(target), "--json", str(tmp_path / "c.json")]) == 0
    assert target.exists()
    assert json.loads((tmp_path / "c.json").read_text())["source"] == weights.name
    assert "SHA-256" in capsys.readouterr().out


def test_demo_and_bench_report(weights, tmp_path, capsys):
    report = tmp_path / "r.json"
    assert main(["demo", "--weights", str(weights), *TINY, "--out", str(tmp_path / "o"), "--json", str(report)]) == 0
    assert json.loads(report.read_text())["frames"] == 200
    assert (tmp_path / "o" / "demo.png").exists()
    assert len(open_source(tmp_path / "o" / "demo.mp4")) == 200
    quick = [*TINY, "--set", "sample_memory_size=20"]
    assert main(["bench", "--weights", str(weights), *quick, "--frames", "20", "--json", str(report)]) == 0
    figures = json.loads(report.read_text())
    assert {"crop", "backbone", "features", "decoder", "scores", "refinement", "template memory"} <= set(
        figures["stages"]
    )
    assert figures["backbone_units"] > 0
    assert "backbone units" in capsys.readouterr().out


def test_bench_of_several_targets_with_one_thread(weights, tmp_path, command):
    """In a process of its own: the number of threads is the process's."""
    report = tmp_path / "r.json"
    quick = [*TINY, "--set", "sample_memory_size=20", "--frames", "20", "--targets", "3", "--threads", "1"]
    done = command("bench", "--weights", weights, *quick, "--json", report)
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_text())
    assert (figures["targets"], figures["threads"]) == (3, 1)
    assert "targets 3" in done.stdout


def test_parameters_parse_by_type():
    config = changed_by_text(
        TrackerConfig(),
        [
            "use_iou_net=false",
            "scale_factors=1,1.03,0.97",
            "augmentation_blurs=3:1,1:3",
            "border_mode=inside",
            "train_skipping=3",
        ],
    )
    assert config.scale_factors == (1.0, 1.03, 0.97)
    assert config.augmentation_blurs == ((3.0, 1.0), (1.0, 3.0))
    assert (config.use_iou_net, config.border_mode, config.train_skipping) == (False, "inside", 3)
    for change in ("use_iou_net=maybe", "train_skipping=x", "train_skipping", "border_mode=round"):
        with pytest.raises(ValueError, match=change.partition("=")[0]):
            changed_by_text(TrackerConfig(), [change])
