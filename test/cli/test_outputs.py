"""What `trdimp` writes: never over an input, never half, never nothing with exit code 0."""

from __future__ import annotations

import csv
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trdimp_ros.cli.main import main
from trdimp_ros.media.sources import open_source

TINY = ["--set", "image_sample_size=96", "--set", "target_not_found_threshold=-1"]
INIT = ["--init", "20,30,25,20"]


@pytest.fixture
def inputs(tmp_path, sequence, video, weights) -> Path:
    """Copies of all inputs in one folder, with other names for some."""
    shutil.copytree(sequence, tmp_path / "seq")
    shutil.copy(video, tmp_path / "v.mp4")
    shutil.copy(weights, tmp_path / "w.safetensors")
    (tmp_path / "truth.csv").write_text((sequence / "groundtruth_rect.txt").read_text())
    (tmp_path / "link.mp4").symlink_to("v.mp4")
    (tmp_path / "linked").symlink_to(".")
    os.link(tmp_path / "v.mp4", tmp_path / "hard.mp4")
    os.link(tmp_path / "seq" / "img" / "0003.png", tmp_path / "hard.json")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "line",
    [
        "track v.mp4 --save v.mp4",
        "track v.mp4 --save ./seq/../v.mp4",
        "track v.mp4 --save link.mp4",
        "track link.mp4 --save v.mp4",
        "track v.mp4 --save linked/v.mp4",
        "track v.mp4 --save hard.mp4",
        "track v.mp4 --csv v.mp4",
        "track v.mp4 --json v.mp4",
        "track v.mp4 --mot v.mp4",
        "track seq --csv seq/img/0002.png",
        "track seq --json hard.json",
        "track seq --truth truth.csv --csv truth.csv",
        "track seq --weights w.safetensors --json w.safetensors",
        "track seq --csv a.txt --json a.txt",
        "track seq --csv a.txt --json linked/a.txt",
        "convert w.safetensors w.safetensors",
        "bench --weights w.safetensors --json w.safetensors",
        "eval seq --weights w.safetensors --json w.safetensors",
        "eval seq --out seq",
        "eval seq --out seq/img",
        "eval seq --json seq/groundtruth_rect.txt",
        "demo --weights w.safetensors --json w.safetensors",
    ],
)
def test_an_input_is_never_overwritten(inputs, monkeypatch, capsys, line):
    monkeypatch.chdir(inputs)
    words = line.split()
    if words[0] == "track" and "--truth" not in words:
        words += INIT
    if words[0] != "convert" and "--weights" not in words:
        words += ["--weights", "w.safetensors", *TINY]
    before = contents(inputs)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "would overwrite the input" in error or "are the same file" in error
    assert contents(inputs) == before


@pytest.mark.parametrize("output", ["--save", "--csv", "--json"])
@pytest.mark.parametrize("place", ["nowhere/x.mp4", "folder.mp4"])
def test_an_output_that_cannot_be_is_refused_first(inputs, monkeypatch, capsys, output, place):
    """Before a network is loaded: this one could not be."""
    monkeypatch.chdir(inputs)
    (inputs / "folder.mp4").mkdir()
    assert main(["track", "v.mp4", *INIT, "--weights", "none.pth.tar", output, place]) == 2
    assert "cannot write" in capsys.readouterr().err


def on_a_small_disk(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command with 40 kB of disk at the folder; prints what is left in the folder."""
    words = [sys.executable, "-m", "trdimp_ros.cli.main", *map(str, arguments)]
    script = 'mount -t tmpfs -o size=40k tmpfs "$0" || exit 77; "$@"; code=$?; ls -A "$0"; exit $code'
    as_root = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    isolated = ["unshare", *as_root, "sh", "-c", script, str(folder), *words]
    done = subprocess.run(isolated, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 77 and "unshare failed" not in done.stderr:
        return done

    def limit() -> None:  # where nothing may be mounted: no file grows beyond this
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, preexec_fn=limit)
    done.stdout += "".join(f"{name}\n" for name in os.listdir(folder))
    return done


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
def test_a_full_disk_is_no_success(tmp_path, video, weights, name):
    disk = tmp_path / "disk"
    disk.mkdir()
    done = on_a_small_disk(
        disk, "track", video, *INIT, "--weights", weights, *TINY, "--save", disk / name, "--json", tmp_path / "r.json"
    )
    assert done.returncode == 2, done.stderr
    assert "is the disk full?" in done.stderr or "No space left" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert name not in done.stdout
    assert ".trdimp" not in done.stdout
    assert not (tmp_path / "r.json").exists()


def test_a_file_that_must_not_grow_leaves_the_old_one(tmp_path, video, weights):
    saved = tmp_path / "old.mp4"
    shutil.copy(video, saved)
    words = [sys.executable, "-m", "trdimp_ros.cli.main", "track", str(video), *INIT, "--weights", str(weights), *TINY]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*words, "--save", str(saved)], capture_output=True, text=True, timeout=300, check=False, preexec_fn=limit
    )
    assert done.returncode == 2, done.stderr
    assert saved.read_bytes() == video.read_bytes()
    assert os.listdir(tmp_path) == ["old.mp4"]


def test_a_full_device_is_no_success(sequence, weights, command):
    done = command("track", sequence, *INIT, "--weights", weights, *TINY, "--csv", "/dev/full")
    assert done.returncode == 2
    assert done.stderr.strip() == "trdimp track: [Errno 28] No space left on device"


def test_a_pipe_gets_the_table(sequence, weights, command):
    done = command("track", sequence, *INIT, "--weights", weights, *TINY, "--csv", "/dev/stdout", "--json", "/dev/null")
    assert done.returncode == 0, done.stderr
    assert len(list(csv.reader(done.stdout.splitlines()[:13]))) == 13


def test_a_saved_video_replaces_an_older_one(tmp_path, sequence, weights):
    saved = tmp_path / "old.mp4"
    saved.write_bytes(b"old")
    words = ["track", sequence, *INIT, "--weights", weights, *TINY, "--save", saved]
    assert main([str(word) for word in words]) == 0
    assert len(list(open_source(saved))) == 12
    assert os.listdir(tmp_path) == ["old.mp4"]
