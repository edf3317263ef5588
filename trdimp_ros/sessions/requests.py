"""What users want of a session, from whichever thread they ask: start a target, drop one, forget all."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from trdimp_ros.tracking import Box

DEFAULT_LABEL = "target"
"""The class label of a target that was started without one."""

MAX_TEXT = 128
"""The greatest length of an id or a label."""

MAX_ORDERS = 1000
"""So many ids that are to be forgotten are remembered until the session gets to them."""


@dataclass(frozen=True)
class InitRequest:
    """The wish to start or restart a target.

    Attributes:
        box: The target's box in image pixels.
        stamp: The stamp of the image that the box was drawn in, nanoseconds; 0: the newest image.
        id: The target's id; one that exists is started again. Empty: a new target with a new id.
        label: The target's class label.
    """

    box: Box
    stamp: int = 0
    id: str = ""
    label: str = DEFAULT_LABEL


@dataclass(frozen=True)
class WaitingInit:
    """A request that waits for its turn or its image.

    Attributes:
        request: The request.
        since: When it was made, seconds of the monotonic clock.
        key: What it is kept under: the id, or a key of its own where the request has none.
    """

    request: InitRequest
    since: float
    key: Hashable


@dataclass(frozen=True)
class Orders:
    """What is to be forgotten before anything else is done.

    Attributes:
        everything: Whether all targets are.
        ids: The ids of single targets that are.
    """

    everything: bool
    ids: frozenset[str]


class RequestBox:
    """Holds requests until the session gets to them. Safe to use from several threads.

    The newest request for an id replaces the one that waits and keeps its place in the line, so a flood of requests for
    one id neither grows nor holds up the others. As many requests for new targets wait as there is room for targets;
    one more replaces the oldest of them.

    Args:
        max_targets: The number of targets that there is room for.
        clock: The monotonic clock, seconds.

    Attributes:
        replaced: The number of requests that newer ones took the place of.
    """

    def __init__(self, max_targets: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_new = max_targets
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, WaitingInit] = {}
        self._new: dict[Hashable, None] = {}  # the keys of those that would start a new target, oldest first
        self._anonymous = itertools.count()
        self._forget_all = False
        self._forget_ids: set[str] = set()
        self.replaced = 0

    def put(self, request: InitRequest, restart: bool) -> None:
        """Add a request.

        Args:
            request: The request.
            restart: Whether the target exists already.
        """
        with self._lock:
            key: Hashable = request.id or next(self._anonymous)
            if key in self._waiting:
                self.replaced += 1
            elif not restart:
                if len(self._new) >= self._max_new:
                    oldest = next(iter(self._new))
                    self._discard(oldest)
                    self.replaced += 1
                self._new[key] = None
            self._waiting[key] = WaitingInit(request, self._clock(), key)

    def drop(self, target_id: str) -> bool:
        """Order that a target is forgotten and what waits for its id too.

        Returns:
            Whether a request for it was waiting.
        """
        with self._lock:
            if len(self._forget_ids) < MAX_ORDERS:
                self._forget_ids.add(target_id)
            return self._discard(target_id)

    def reset(self) -> None:
        """Order that all targets are forgotten; nothing waits any more."""
        with self._lock:
            self._waiting.clear()
            self._new.clear()
            self._forget_ids.clear()
            self._forget_all = True

    @property
    def has_orders(self) -> bool:
        """Whether something is to be forgotten."""
        return self._forget_all or bool(self._forget_ids)

    def take_orders(self) -> Orders:
        """What is to be forgotten; not ordered any more afterwards."""
        with self._lock:
            return self._pop_orders()

    def waiting(self) -> list[WaitingInit]:
        """The requests in their order."""
        with self._lock:
            return list(self._waiting.values())

    def take(self, waiting: WaitingInit) -> Orders | None:
        """Take a request out, with all that was to be forgotten before it.

        Returns:
            None when it is there no more: replaced by a newer one, dropped or reset.
        """
        with self._lock:
            if self._waiting.get(waiting.key) is not waiting:
                return None
            self._discard(waiting.key)
            return self._pop_orders()

    def __len__(self) -> int:
        return len(self._waiting)

    def _discard(self, key: Hashable) -> bool:
        self._new.pop(key, None)
        return self._waiting.pop(key, None) is not None

    def _pop_orders(self) -> Orders:
        orders = Orders(self._forget_all, frozenset(self._forget_ids))
        self._forget_all = False
        self._forget_ids.clear()
        return orders
