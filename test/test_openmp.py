"""What the OpenMP runtime of torch says that it was told, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trdimp_ros.openmp import CHOICES, SPINS


def settings(code: str, **environment: str) -> dict[str, str]:
    """The settings that the OpenMP runtime prints when it is loaded by this code."""
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"OMP_DISPLAY_ENV": "VERBOSE"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.split("=") for line in run.stderr.splitlines() if line.count("=") == 1)
    return {name.split()[-1]: value.strip(" '") for name, value in pairs}


PLAIN = settings("import torch")
"""What torch alone does. GNU's runtime names its spin count, others their block time."""

COMMAND = "from trdimp_ros.cli.main import load_commands; load_commands()"
NAME = next((name for name in SPINS if name in PLAIN), None)


def test_commands_spin_briefly():
    assert NAME is not None, f"an OpenMP runtime that nobody has tried: {PLAIN}"
    assert PLAIN[NAME] != SPINS[NAME]
    assert settings(COMMAND)[NAME] == SPINS[NAME]


def test_the_library_leaves_its_user_alone():
    assert settings("import trdimp_ros.tracking") == PLAIN


def test_torch_that_is_loaded_already_is_left_alone():
    assert settings("import torch, trdimp_ros.cli.main") == PLAIN


@pytest.mark.parametrize(("name", "value"), [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "77")])
def test_what_the_user_has_set_stays(name, value):
    given = {name: value}
    assert settings(COMMAND, **given) == settings("import torch", **given)
