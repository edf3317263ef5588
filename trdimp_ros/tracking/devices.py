"""What a tracker computes on: the device, its precision, and the processor's threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Precisions of backbone and attention, by the names under which users choose them."""

MAX_THREADS = 256
"""Threads of the processor; OpenMP ends the process when it cannot start as many as were asked for."""


class _Threads:
    """The threads of this process: what 0 stands for, and how many have been chosen last."""

    default = torch.get_num_threads()
    chosen = default


def choose_device(name: str) -> torch.device:
    """The torch device of this name; ``auto`` is the GPU where there is one, else the processor.

    Raises:
        ValueError: for a device that this machine or this torch does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ValueError(f"device {name!r}: this torch ({torch.__version__}) sees no GPU; choose the device cpu")
        if (device.index or 0) >= torch.cuda.device_count():
            raise ValueError(f"device {name!r}: there are only {torch.cuda.device_count()} GPUs")
    return device


def use_threads(count: int) -> None:
    """Have torch compute with so many threads of the processor, in the whole process.

    Args:
        count: The number of threads; 0 is what torch chose when the process started: one per core, or OMP_NUM_THREADS.

    Raises:
        ValueError: for a negative number, or more than `MAX_THREADS`.
    """
    if not 0 <= count <= MAX_THREADS:
        raise ValueError(f"threads must be 0 (torch's choice) or 1 to {MAX_THREADS}, got {count}")
    _Threads.chosen = count or _Threads.default
    torch.set_num_threads(_Threads.chosen)


def threads_in_use() -> int:
    """The threads that `use_threads` has chosen, whoever computes with them; before its first call torch's choice."""
    return _Threads.chosen


def limit_threads(count: int) -> None:
    """Let 0 stand for so many threads in this process, one of several that compute at once."""
    _Threads.default = count
    use_threads(0)


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Have torch compute with so many threads meanwhile; None: with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
