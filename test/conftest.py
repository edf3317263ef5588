"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from trdimp_ros.testing.golden_set import GoldenSet, available_sets, golden_set

# Timings never decide a test: a loaded machine is slow.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")

# Without ROS (after a plain `pip install .`) the nodes cannot be tested; CI always has one and must test them.
if importlib.util.find_spec("rclpy") is None and "CI" not in os.environ:
    collect_ignore = ["ros", "test_release.py"]


@pytest.fixture(params=available_sets(), ids=lambda folder: folder.parent.name, scope="session")
def golden(request: pytest.FixtureRequest) -> GoldenSet:
    """Golden data: the small set in test/golden and, where present, the folder named by TRDIMP_GOLDEN."""
    folder: Path = request.param
    return golden_set(folder)


@pytest.fixture(autouse=True)
def no_gradients():
    """Tests run as the tracker does; those that differentiate switch it on themselves."""
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True)
def threads_as_before():
    """How many threads compute is a matter of the process; a test that changes it is not to slow down the others."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
