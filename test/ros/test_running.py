"""What a node says, and how it ends, when its arguments or parameters cannot be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trdimp_ros.testing.ros_harness import System


def last_words(system: System, name: str, arguments: list[str]) -> str:
    """Start a node that must refuse to; returns what it prints, which must be one line."""
    process = system.start(name, ros_arguments=arguments)
    assert process.process.wait(60) == 2, process.output
    lines = process.output.strip().splitlines()
    assert len(lines) == 1, process.output
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "rate"], "'-p rate'"),
        (["-p", "rate:="], "(a parameter is given as -p NAME:=VALUE)"),
        (["-p", "init:=[1.0, two]"], "Sequence should be of same type"),
        (["-r", "image"], "(a name is remapped as -r FROM:=TO)"),
        (["--log-level", "loud"], "(known are debug, info, warn, error, fatal)"),
        (["--parameters"], "unknown arguments after --ros-args: ['--parameters']"),
        (["--params-file"], "No file path provided"),
        (["--params-file", "/nowhere/tracker.yaml"], "/nowhere/tracker.yaml"),
        (["-p", "rate:=-1.0"], "rate must be a number from 0 to 1000, got -1.0"),
        (["-p", "rate:=5"], "rate needs a decimal point in YAML and ROS: write 5.0, not 5"),
        (["-p", "rate:=fast"], "rate must be a number from 0 to 1000, got 'fast'"),
        (["-p", "init:=[1.0]"], "init must be 4 numbers from -1000000 to 1000000, got (1.0,)"),
        (["-p", "init:=[1, 2, 3, 4]"], "write [1.0, 2.0, 3.0, 4.0], not [1, 2, 3, 4]"),
        (["-p", "init:=[1.0, 2.0, -3.0, 4.0]"], "init must have a width and a height above 0, or be all zeros"),
        (["-p", "source:=/nowhere.mp4"], "/nowhere.mp4"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line_and_exit_code_2(system: System, arguments, message):
    line = last_words(system, "camera", arguments)
    assert line.startswith("cannot start: ")
    assert message in line
    assert "/project/src" not in line, "places in rcl's sources help nobody"


@pytest.mark.parametrize("content", [b"a: [b", b"tracker: {rate: 1}", b"%\x00\xff\xfe" * 700])
def test_a_broken_parameter_file_is_one_line_and_exit_code_2(system: System, tmp_path: Path, content):
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    assert str(file) in last_words(system, "follow", ["--params-file", str(file)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "max_speed:=-1.0"], "max_speed must be a number from 0 to 100, got -1.0"),
        (["-p", "stamped:=yes_please"], "stamped must be true or false, got 'yes_please'"),
        (["-p", "watchdog:=0.0"], "watchdog must be a number above 0 and of at most 60, got 0.0"),
    ],
)
def test_follow_refuses_in_the_same_words(system: System, arguments, message):
    assert message in last_words(system, "follow", arguments)


SWALLOWING_NODE = """
import time
from rclpy.node import Node
from trdimp_ros.ros.running import run_node

class Swallowing(Node):
    def __init__(self):
        super().__init__("swallowing")
        self.create_timer(0.01, self.work)

    def work(self):
        print("busy", flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

raise SystemExit(run_node(Swallowing, stopping=lambda node: print("stopped", flush=True)))
"""


def test_a_signal_ends_a_node_whose_callback_swallows_the_interrupt(system: System):
    environment = os.environ | {"ROS_DOMAIN_ID": str(system.domain)}
    process = subprocess.Popen(
        [sys.executable, "-c", SWALLOWING_NODE], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert output == "stopped\n"
        assert process.returncode == 0
    finally:
        process.kill()
