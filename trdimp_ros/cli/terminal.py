"""What reaches the terminal: text made harmless, interrupts without tracebacks. Imports nothing that takes time."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

MAX_SHOWN = 2000
"""Letters of a message that are shown at most."""

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM: 128 + SIGINT, as shells have it."""

REPEATED_SECONDS = 1.0
"""Signals this soon after the first are the same wish (a terminal and a parent both send one) and are ignored."""


class Interrupted(KeyboardInterrupt):
    """An interrupt after which the command has finished its files.

    Args:
        report: What the command would have returned, as far as it came.
    """

    def __init__(self, report: dict[str, Any]) -> None:
        super().__init__()
        self.report = report


def printable(text: str, limit: int = MAX_SHOWN) -> str:
    """Text on one line, control characters escaped and cut in the middle, so that no file can command a terminal.

    Args:
        text: The message, which may quote file names and the contents of files.
        limit: The longest text that is shown whole, in letters.
    """
    if len(text) > limit:
        text = f"{text[: limit // 2]} ... {text[-(limit // 2) :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


@contextmanager
def quitting_at_once() -> Iterator[None]:
    """While nothing has been started: an interrupt ends the process, even inside a library's import."""

    def quit_process(_number: int, _frame: FrameType | None) -> None:
        os.write(2, b"interrupted\n")
        os._exit(INTERRUPTED)

    with _handled_by(quit_process):
        yield


@contextmanager
def interrupting(process_ends: bool) -> Iterator[None]:
    """Ctrl-C and SIGTERM both raise KeyboardInterrupt, once; who repeats it a second later ends the process at once.

    Args:
        process_ends: Whether the process ends afterwards. Signals are then ignored from here on: while the interpreter
            ends, the second of two would kill it and change the exit code.
    """
    first: list[float] = []

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if not first:
            first.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() - first[0] > REPEATED_SECONDS:
            os._exit(INTERRUPTED)

    with _handled_by(interrupt, signal.SIG_IGN if process_ends else None):
        yield


@contextmanager
def _handled_by(
    handler: Callable[[int, FrameType | None], None], afterwards: signal.Handlers | None = None
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old if afterwards is None else afterwards)


def safe_streams() -> None:
    """Print names that the terminal's encoding lacks with escapes, instead of failing at the end of the work."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write out what was printed.

    Raises:
        OSError: if it cannot be written (a closed pipe, a full disk); it is then dropped, so that the interpreter does
            not try again while it ends.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise
