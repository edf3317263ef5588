"""Fixtures of the ROS tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.testing.ros_harness import System, running_system
from trdimp_ros.testing.tiny import tiny_network


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(tiny_network(), path)
    return path


@pytest.fixture
def system(tmp_path: Path, tiny_weights: Path) -> Iterator[System]:
    with running_system(tmp_path, tiny_weights) as running:
        yield running
