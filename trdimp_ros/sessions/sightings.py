"""What a detector says it has seen, from its arrival until the session gets to it."""

from __future__ import annotations

import heapq
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trdimp_ros.sessions.candidates import MOST_CANDIDATES, Candidate
from trdimp_ros.sessions.requests import MAX_TEXT


@dataclass(frozen=True)
class WaitingSighting:
    """What a detector has seen in one image; it waits for its turn, or for its image.

    Attributes:
        candidates: What it has seen.
        stamp: The stamp of the image, nanoseconds; 0: unknown.
        since: When it arrived, seconds of the monotonic clock.
        newest: The number of the image that was the newest then; None: no image was there.
    """

    candidates: tuple[Candidate, ...]
    stamp: int
    since: float
    newest: int | None


def checked(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that count, at most `MOST_CANDIDATES` of them.

    Raises:
        ValueError: naming the candidate that has no finite box or score, or a label without end.
    """
    for candidate in candidates:
        numbers = (*candidate.box, candidate.score)
        if not all(math.isfinite(value) for value in numbers):
            box = "x={:g} y={:g} w={:g} h={:g}".format(*candidate.box)
            raise ValueError(f"a candidate's box and score must be finite, got {box} score={candidate.score:g}")
        if len(candidate.label) > MAX_TEXT:
            raise ValueError(
                f"a candidate's label has {len(candidate.label)} characters, more than {MAX_TEXT}: "
                f"{candidate.label[:20]!r}..."
            )
    return tuple(heapq.nlargest(MOST_CANDIDATES, candidates, key=lambda candidate: candidate.score))


class SightingBox:
    """Holds what a detector has seen until the session gets to it. Safe to use from several threads.

    Two wait at most: the newest, and an older one that may have to wait for its image. So a detector whose messages
    always come before their images is heard as well, and a flood of them does not grow.

    Args:
        clock: The monotonic clock, seconds.

    Attributes:
        received: The number of messages that could be used.
        replaced: The number of those that newer ones took the place of.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[WaitingSighting] = []
        self.received = 0
        self.replaced = 0

    def put(self, candidates: Sequence[Candidate], stamp: int, newest: int | None) -> None:
        """Add what a detector has seen.

        Args:
            candidates: What it has seen in one image.
            stamp: The stamp of that image, nanoseconds; 0: unknown.
            newest: The number of the newest image; None where there is none.

        Raises:
            ValueError: for candidates that cannot be used; nothing changes then.
        """
        waiting = WaitingSighting(checked(candidates), stamp, self._clock(), newest)
        with self._lock:
            self.received += 1
            self.replaced += len(self._waiting[1:])
            self._waiting = [*self._waiting[:1], waiting]

    def waiting(self) -> list[WaitingSighting]:
        """What waits, the newest first."""
        with self._lock:
            return self._waiting[::-1]

    def take(self, waiting: WaitingSighting) -> bool:
        """Take one out, and what is older; returns whether it was there still."""
        with self._lock:
            if waiting not in self._waiting:
                return False
            index = self._waiting.index(waiting)
            self.replaced += index
            self._waiting = self._waiting[index + 1 :]
            return True

    def clear(self) -> None:
        """Forget what waits."""
        with self._lock:
            self._waiting = []
