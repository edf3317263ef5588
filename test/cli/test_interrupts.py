"""Ctrl-C and SIGTERM: exit code 130, no traceback, complete files."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trdimp_ros.media.sources import open_source

TINY = ["--set", "image_sample_size=96", "--set", "target_not_found_threshold=-1"]


def start(*arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "trdimp_ros.cli.main", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def long_sequence(tmp_path, sequence) -> Path:
    """Links to the same images, more than can be tracked meanwhile."""
    folder = tmp_path / "long"
    folder.mkdir()
    images = sorted((sequence / "img").iterdir())
    for number in range(20_000):
        (folder / f"{number}.png").symlink_to(images[number % len(images)])
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_tracked_is_complete(tmp_path, long_sequence, weights, number):
    saved, table, report = tmp_path / "out.mp4", tmp_path / "out.csv", tmp_path / "out.json"
    process = start(
        "track", long_sequence, "--init", "20,30,25,20", "--weights", weights, *TINY,
        "--save", saved, "--csv", table, "--json", report,
    )  # fmt: skip
    wait_until(lambda: any(file.stat().st_size for file in tmp_path.glob(".trdimp-*.mp4")), process)
    process.send_signal(number)
    time.sleep(0.02)
    process.send_signal(number)  # as a terminal and a parent do; it must not cut off the writing
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error.strip()) == (130, "interrupted"), error
    rows = list(csv.DictReader(table.open()))
    assert rows
    assert abs(len(list(open_source(saved))) - len(rows)) <= 1
    assert json.loads(report.read_text())["frames"] == len(rows)
    assert not list(tmp_path.glob(".trdimp-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_torch_is_loaded_prints_no_traceback(number):
    process = start("track", "none.mp4", "--init", "1,2,3,4")
    wait_until(lambda: "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error.strip()) == (130, "interrupted"), error


def test_an_evaluation_with_several_jobs_ends_with_its_processes(tmp_path, long_sequence, weights):
    boxes = "20,30,25,20\n" * 20_000
    (long_sequence / "groundtruth.txt").write_text(boxes)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "img").symlink_to(long_sequence)
    (tmp_path / "other" / "groundtruth.txt").write_text(boxes)
    process = start("eval", long_sequence, tmp_path / "other", "--jobs", 2, "--weights", weights, *TINY)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def busy() -> list[int]:
        numbers = [int(number) for number in children.read_text().split()]
        return [n for n in numbers if "libtorch" in Path(f"/proc/{n}/maps").read_text()]

    wait_until(lambda: len(busy()) == 2, process)
    workers = busy()
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in error, error
    wait = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < wait, "workers were left behind"
        time.sleep(0.05)
