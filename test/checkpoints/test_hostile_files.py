"""Weights files that are built to do harm, loaded in child processes with limits on time and memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
import torch

from trdimp_ros.checkpoints import CheckpointError, load_network
from trdimp_ros.checkpoints.opened_file import open_weights_file
from trdimp_ros.checkpoints.safetensors_file import read_safetensors
from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.testing.limited_loading import Outcome, load_all
from trdimp_ros.testing.tiny import tiny_network
from trdimp_ros.testing.weights_attacks import all_attacks

FUZZ_CASES = 3000


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    found = load_all("trdimp_ros.testing.weights_attacks:attack", 0, len(all_attacks()))
    return {outcome.name: outcome for outcome in found}


@pytest.mark.parametrize(("name", "pattern"), [(case.name, pattern) for case, pattern in all_attacks()])
def test_an_attack_is_refused_in_one_line_within_the_limits(outcomes, name, pattern):
    assert outcomes[name].refused, outcomes[name].text
    with pytest.raises(CheckpointError, match=pattern):
        raise CheckpointError(outcomes[name].text)


def test_no_file_of_thousands_harms_the_process_that_loads_it():
    """A seeded fuzz; a failure names the case, and weights_fuzz.case(number) makes its file again."""
    found = load_all("trdimp_ros.testing.weights_fuzz:case", 0, FUZZ_CASES)
    assert len(found) == FUZZ_CASES
    assert [outcome for outcome in found if not outcome.good] == []
    # Otherwise the files are so wrong that nothing behind the first check was reached.
    assert sum(outcome.text == "accepted" for outcome in found) > FUZZ_CASES / 50
    assert len({outcome.text.split(": ", 1)[1][:25] for outcome in found if outcome.refused}) > 25
