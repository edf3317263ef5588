"""Loading weights files in a child process whose time and memory the kernel limits.

A loader that hangs with Python's lock held, or overflows the stack, cannot be caught in its own process. The child
loads one file after the other; before each one it sets the limit of its processor time anew. If it dies, the file that
it was at is to blame, and another child goes on with the next one.

    python3 -m trdimp_ros.testing.limited_loading CASES FIRST LAST
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from trdimp_ros.checkpoints import CheckpointError, load_network, weights
from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.weights_files import MINUTE_NETWORK

CPU_SECONDS = 20
"""For one file. All take milliseconds; what hangs takes hours."""

MEMORY_BYTES = 256 << 20
"""For one file, beyond what the process needs anyway. No file of the tests is larger than some megabytes."""

MAX_MESSAGE = 4000


class Case(NamedTuple):
    """A weights file to load.

    Attributes:
        name: What is wrong with it.
        suffix: The suffix of the file's name, which says how it is read.
        write: Writes the file.
    """

    name: str
    suffix: str
    write: Callable[[Path], object]


class Outcome(NamedTuple):
    """What became of a case.

    Attributes:
        name: The case's name.
        refused: Whether it was refused as a weights file should be: by a CheckpointError of one line.
        text: The error's text; "accepted" if the file was loaded; else what happened.
    """

    name: str
    refused: bool
    text: str

    @property
    def good(self) -> bool:
        return self.refused or self.text == "accepted"


def load_all(cases: str, first: int, last: int) -> list[Outcome]:
    """Load the cases first, ..., last - 1.

    Args:
        cases: ``module:function``; the function gives the case of an index.
        first: The first index.
        last: The index after the last one.
    """
    outcomes: list[Outcome] = []
    while first < last:
        command = [sys.executable, "-m", "trdimp_ros.testing.limited_loading", cases, str(first), str(last)]
        # One allocator arena: each further one would take 64 MB of the address space that is limited.
        run = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "MALLOC_ARENA_MAX": "1"}
        )
        lines = [json.loads(line) for line in run.stdout.splitlines() if line.endswith("]")]
        outcomes += [Outcome(*fields) for fields in lines if len(fields) == 3]
        first += len(lines) // 2
        if len(lines) % 2:  # a name without an outcome
            outcomes.append(Outcome(lines[-1][0], False, f"the process died: exit status {run.returncode}"))
            first += 1
        elif first < last:
            raise RuntimeError(f"no case could be loaded: exit status {run.returncode}, {run.stderr[-2000:]}")
    return outcomes


def _run_cases(cases: str, first: int, last: int) -> None:
    """In the child: print the name of each case, then its outcome."""
    torch.set_num_threads(1)
    weights.OFFICIAL_ARCHITECTURE = MINUTE_NETWORK  # so that a checkpoint of a few kilobytes can be a good one
    module, function = cases.split(":")
    case_of: Callable[[int], Case] = getattr(importlib.import_module(module), function)
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm.safetensors"
        save_network(TrDiMPNet(MINUTE_NETWORK), warm)
        load_network(warm)
        for index in range(first, last):
            case = case_of(index)
            path = Path(folder) / f"case{case.suffix}"
            case.write(path)
            print(json.dumps([case.name]), flush=True)
            print(json.dumps([case.name, *_outcome(path)]), flush=True)
            path.unlink()


@contextmanager
def _limits() -> Iterator[None]:
    """More processor time means the end of the process; no memory means a MemoryError, or torch's RuntimeError."""
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
    signal.alarm(10 * CPU_SECONDS)  # for what waits forever without computing
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_SECONDS, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    unlimited = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY_BYTES, unlimited[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, unlimited)


def _outcome(path: Path) -> tuple[bool, str]:
    """Whether the file was refused as it should be, and a text."""
    try:
        with _limits():
            network = load_network(path)[0]
    except CheckpointError as error:
        text = str(error)
        if not text.isprintable() or len(text) > MAX_MESSAGE:
            return False, f"not one printable line: {text[:200]!r}"
        if any(_means_no_memory(cause) for cause in _causes(error)):
            return False, f"took too much memory: {text}"
        return True, text
    except BaseException as error:
        return False, f"{type(error).__name__} instead of CheckpointError"
    return False, _verdict(network)


def _verdict(network: TrDiMPNet) -> str:
    """What is wrong with a network that was loaded; "accepted": nothing."""
    numbers = network.state_dict()
    if not all(torch.isfinite(value).all() for value in numbers.values()):
        return "accepted with numbers that are not finite"
    if any((value < 0).any() for name, value in numbers.items() if name.endswith("running_var")):
        return "accepted with a negative variance"
    return "accepted"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _means_no_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "allocate memory" in str(error))


if __name__ == "__main__":
    _run_cases(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
