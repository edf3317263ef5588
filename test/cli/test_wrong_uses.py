"""A table of wrong uses: one line and exit code 2, never a traceback, never another code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trdimp_ros.cli.main import main
from trdimp_ros.cli.terminal import printable

INIT = ["--init", "20,30,25,20"]
TINY = ["--set", "image_sample_size=96"]


@pytest.fixture
def place(tmp_path, sequence, video, weights, monkeypatch) -> Path:
    """A folder with good and bad inputs, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sequence, "seq")
    shutil.copy(video, "v.mp4")
    shutil.copy(weights, "w.safetensors")
    cut = Path("v.mp4").read_bytes()
    Path("cut.mp4").write_bytes(cut[: len(cut) // 2])
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("no video")
    Path("bad_image").mkdir()
    Path("bad_image/1.png").write_bytes(b"no image")
    Path("empty_folder").mkdir()
    for name, text in {
        "absent": "nan,nan,nan,nan\n" * 12,
        "zero": "0,0,0,0\n" * 12,
        "zero_first": "0,0,0,0\n" + "20,30,25,20\n" * 11,
        "empty": "",
        "words": "one two three four\n",
        "three": "1,2,3\n",
        "infinite": "inf,2,3,4\n",
        "huge": "1e300,2,3,4\n",
        "escape": "\x1b[2J\x1b[31m,1,2,3\n",
    }.items():
        Path(f"{name}.txt").write_text(text)
    Path("binary.txt").write_bytes(bytes(range(256)) * 20)
    Path("labels.txt").write_text("20,30,25,20\n" * 12)
    shutil.copytree("seq", "flags")
    Path("flags/absence.label").write_bytes(b"\xff\xfe" * 5)
    shutil.copytree("seq", "zeros")
    Path("zeros/groundtruth_rect.txt").write_text("0,0,0,0\n" * 12)
    return tmp_path


TABLE = [
    "",
    "fly",
    "--fly",
    "track",
    "track v.mp4",
    "track none.mp4 INIT",
    "track cut.mp4 INIT",
    "track empty.mp4 INIT",
    "track text.mp4 INIT",
    "track bad_image INIT",
    "track empty_folder INIT",
    "track seq --init 1,2,3",
    "track seq INIT --init 900,900,5,5",
    "track seq INIT INIT --truth labels.txt",
    "track seq" + " INIT" * 33,
    "track seq INIT --mot seq",
    "track seq --init nan,0,5,5",
    "track seq --init 0,0,0,0",
    "track seq --init 1e300,0,5,5",
    "track seq --init 1,2,1e30,1e30",
    "track seq --init 1,2,inf,5",
    "track seq --init one,two,three,four",
    "track seq --truth none.txt",
    "track seq --truth absent.txt",
    "track seq INIT --truth absent.txt",
    "track seq --truth zero.txt",
    "track seq INIT --truth zero.txt",
    "track seq --truth zero_first.txt",
    "track seq INIT --truth empty.txt",
    "track seq INIT --truth words.txt",
    "track seq INIT --truth three.txt",
    "track seq INIT --truth infinite.txt",
    "track seq INIT --truth huge.txt",
    "track seq INIT --truth binary.txt",
    "track seq INIT --truth escape.txt",
    "track seq INIT --truth seq",
    "track seq INIT --truth v.mp4",
    "track seq INIT --weights none.safetensors",
    "track seq INIT --weights text.mp4",
    "track seq INIT --weights seq",
    "track seq INIT --save x.gif",
    "track seq INIT --save x",
    "track seq INIT --save seq",
    "track seq INIT --csv seq",
    "track seq INIT --csv none/x.csv",
    "track seq INIT --json none/x.json",
    "track seq INIT --csv /proc/x.csv",
    "track seq INIT --device tpu",
    "track seq INIT --device cuda:x",
    "track seq INIT --device meta",
    "track seq INIT --device cuda:99",
    "track seq INIT --precision float8",
    "track seq INIT --preset none",
    "track seq INIT --threads -1",
    "track seq INIT --threads 1000000000",
    "track seq INIT --threads x",
    "track seq INIT --seed 99999999999999999999999",
    "track seq INIT --set x",
    "track seq INIT --set learning_rate=nan",
    "track seq INIT --set image_sample_size=-5",
    "track seq INIT --set sample_memory_size=999999999999",
    "track seq INIT --set image_sample_size=1000000",
    "convert",
    "convert none w.pt",
    "convert text.mp4 x.safetensors",
    "convert seq x.safetensors",
    "convert w.safetensors none/x.safetensors",
    "convert w.safetensors seq",
    "demo --out v.mp4",
    "demo --out v.mp4/x",
    "demo --weights text.mp4",
    "bench --frames 1",
    "bench --frames -100000",
    "bench --width 1000000000",
    "bench --height 1000000000",
    "bench --width -3",
    "bench --width 1",
    "bench --targets 0",
    "bench --targets 1000000000",
    "eval",
    "eval none",
    "eval empty_folder",
    "eval v.mp4",
    "eval flags",
    "eval zeros",
    "eval seq --jobs 0",
    "eval seq --jobs -2",
    "eval seq --jobs 1000000",
    "eval seq --jobs x",
    "eval seq --trackers magic",
    "eval seq --trackers ,",
    "eval seq --trackers nano:none.onnx:none.onnx",
    "eval seq --trackers vit:text.mp4",
    "eval seq --out v.mp4",
    "eval seq --weights none",
    "train",
    "train --data none",
    "train --data empty_folder",
    "train --data text.mp4",
]


@pytest.mark.parametrize("line", TABLE)
def test_one_line_and_exit_code_2(place, capsys, line):
    words = [word for part in line.split() for word in (INIT if part == "INIT" else [part])]
    if words and words[0] in ("track", "demo", "bench", "eval") and "--weights" not in words:
        words += ["--weights", "w.safetensors", *TINY]
    before = sorted(place.rglob("*"))
    try:
        code: object = main(words)
    except SystemExit as end:  # argparse
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in error
    *usage, last = error.strip().splitlines()
    assert last.startswith("trdimp")
    assert all(line.startswith(("usage:", " ")) for line in usage), error
    assert last.isprintable()
    assert len(last) < 2500
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("name", ["cut.mp4", "text.mp4"])
def test_a_damaged_video_is_one_line_also_from_opencv(place, command, name):
    done = command("track", name, *INIT)
    assert done.returncode == 2
    assert done.stderr.startswith("trdimp track: cannot read the video")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("line", [["--help"], ["--version"], ["track", "--help"], ["eval", "--help"]])
def test_what_is_asked_for_is_exit_code_0(line, capsys):
    with pytest.raises(SystemExit) as end:
        main(line)
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "--help" not in line or "130" in text


@pytest.mark.parametrize("display", [None, ":97"])
def test_a_window_without_a_display_is_said(sequence, weights, command, display):
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {} if display is None else {"DISPLAY": display}
    done = command("track", sequence, *INIT, "--weights", weights, *TINY, "--show", env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("trdimp track: --show needs a display")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", [b"caf\xe9", b"\x1b[31mred", b"two\nlines"])
def test_any_name_is_tracked_written_and_shown(tmp_path, video, sequence, weights, name):
    """In a process of its own: OpenCV crashes on such names."""
    folder = os.fsencode(tmp_path) + b"/" + name
    shutil.copytree(os.fsencode(sequence), folder)
    shutil.copy(os.fsencode(video), folder + b"/v.mp4")
    command = [sys.executable, "-m", "trdimp_ros.cli.main"]
    rest = ["--weights", weights, *TINY]
    track = [*command, "track", folder + b"/v.mp4", *INIT, *rest, "--save", folder + b"/o.mp4", "--csv", folder + b"/c"]
    done = subprocess.run(track, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {b"o.mp4", b"c"} < set(os.listdir(folder))
    done = subprocess.run([*command, "eval", folder, *rest], capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"\x1b" not in done.stdout
    done = subprocess.run([*command, "track", folder + b"/none"], capture_output=True, check=False, timeout=300)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"\x1b" not in done.stderr


def test_a_report_that_cannot_be_printed_is_no_success(sequence, weights, command):
    with open("/dev/full", "w") as full:
        done = command(
            "track", sequence, *INIT, "--weights", weights, *TINY, capture_output=False, stdout=full,
            stderr=subprocess.PIPE,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == "trdimp track: [Errno 28] No space left on device"


def test_a_truth_of_absent_frames_beyond_the_video_gives_no_figure(tmp_path, sequence, weights, capsys):
    truth = tmp_path / "truth.txt"
    truth.write_text("nan,nan,nan,nan\n" * 12 + "1,2,3,4\n")
    assert main(["track", str(sequence), *INIT, "--weights", str(weights), *TINY, "--truth", str(truth)]) == 0
    assert "mean_iou=None" in capsys.readouterr().out


def test_text_is_made_printable():
    assert printable("a\x1b[31m\nb\udce9\u202e日") == r"a\x1b[31m\nb\udce9\u202e日"
    assert len(printable("x" * 10_000)) < 2100
    assert printable("start" + "x" * 10_000 + "end").startswith("start")
    assert printable("start" + "x" * 10_000 + "end").endswith("end")
