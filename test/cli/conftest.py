"""Small inputs for the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.media.drawing import VideoWriter, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.testing.tiny import tiny_network

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(tiny_network(), path)
    return path


@pytest.fixture(scope="session")
def sequence(tmp_path_factory) -> Path:
    """A folder in the OTB layout."""
    folder = tmp_path_factory.mktemp("sequence")
    (folder / "img").mkdir()
    scene = RenderedScene(160, 120)
    boxes = []
    for index in range(12):
        write_image(folder / "img" / f"{index + 1:04d}.png", scene.frame(index))
        boxes.append(",".join(f"{value:.3f}" for value in scene.box(index)))
    boxes[5] = "nan,nan,nan,nan"
    (folder / "groundtruth_rect.txt").write_text("\n".join(boxes) + "\n")
    return folder


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    scene = RenderedScene(160, 120)
    with VideoWriter(path, 25) as writer:
        for index in range(60):
            writer.write(scene.frame(index))
    return path


@pytest.fixture(scope="session")
def command() -> Command:
    """The command in a process of its own."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "trdimp_ros.cli.main", *map(str, arguments)]
        settings: dict = {"capture_output": True, "text": True, "timeout": 300} | options
        return subprocess.run(words, check=False, **settings)

    return run
