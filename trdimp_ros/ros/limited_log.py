"""Warnings that a flood of bad input cannot turn into a flood of lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MAX_LENGTH = 400
"""Characters of a line that are written; what comes from outside can be of any length."""


def one_line(text: str) -> str:
    """The beginning of a text with everything escaped that a terminal would act upon."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text[:MAX_LENGTH])


class LimitedLog:
    """Writes warnings, each kind of them once or a bounded number in a time. Safe to use from several threads.

    Args:
        write: Writes a line.
        kinds: So many different lines are written by `once`; the rest is only counted by whoever counts.
        burst: So many lines are written by `now_and_then` at once.
        period: Seconds after which one more is.
        clock: The monotonic clock, seconds.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        kinds: int = 12,
        burst: int = 12,
        period: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._kinds = kinds
        self._burst, self._period = burst, period
        self._clock = clock
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._allowed, self._since = float(burst), clock()
        self._left_out = 0

    def once(self, text: str) -> None:
        """Write a line unless it was written before, or too many different ones were."""
        text = one_line(text)
        with self._lock:
            if text in self._said or len(self._said) >= self._kinds:
                return
            self._said.add(text)
            last = len(self._said) == self._kinds
        self._write(f"{text} (said once; counted in /diagnostics)")
        if last:
            self._write("further kinds of this are counted in /diagnostics only")

    def now_and_then(self, text: str) -> None:
        """Write a line unless many were written just now; the next one then says how many were left out."""
        with self._lock:
            now = self._clock()
            self._allowed = min(self._allowed + (now - self._since) / self._period, self._burst)
            self._since = now
            if self._allowed < 1:
                self._left_out += 1
                return
            self._allowed -= 1
            left_out, self._left_out = self._left_out, 0
        self._write(one_line(text) + (f" ({left_out} more in the meantime)" if left_out else ""))
