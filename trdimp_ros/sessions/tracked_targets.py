"""The targets of a session, in its registry and in its tracker, which never disagree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.image_buffer import BufferedImage
from trdimp_ros.sessions.registry import SessionTarget, TargetRegistry
from trdimp_ros.sessions.requests import Orders
from trdimp_ros.tracking import Box, LongTermTracker, MultiTracker, TrackerConfig
from trdimp_ros.tracking.whereabouts import Phase


class TrackedTargets:
    """Looks for targets, learns them and forgets them; after a failure none is half known.

    Args:
        tracker: The tracker; nobody else uses it from now on.
        forgotten: Called when targets were forgotten.

    Attributes:
        registry: The targets, and how far each of them has got.
    """

    def __init__(self, tracker: MultiTracker, forgotten: Callable[[], None]) -> None:
        self._tracker = tracker
        self._forgotten = forgotten
        self._unlearned: list[SessionTarget] = []
        self.registry = TargetRegistry(tracker.max_targets)

    @property
    def max_targets(self) -> int:
        """The number of targets that there is room for."""
        return self._tracker.max_targets

    @property
    def long_term(self) -> LongTermTracker | None:
        """The tracker, where it can find lost targets again; None where it cannot."""
        return self._tracker if isinstance(self._tracker, LongTermTracker) else None

    @property
    def tracker(self) -> MultiTracker:
        """The tracker."""
        return self._tracker

    def configure(self, config: TrackerConfig, detector_helps: bool) -> None:
        """Put parameters in force.

        Args:
            config: The tracker's.
            detector_helps: Whether a detector's candidates are used to find lost targets again.
        """
        if self._tracker.config is not config:
            self._tracker.config = config
        if self.long_term is not None:
            self.long_term.detector_helps = detector_helps

    def is_known(self, target: SessionTarget) -> bool:
        """Whether a target was neither forgotten nor started anew."""
        return self.registry.get(target.id) is target

    def is_lost(self, target: SessionTarget) -> bool:
        """Whether a target is not seen, or only on probation."""
        long_term = self.long_term
        if long_term is not None and long_term.phase(target.key) is not Phase.SEEN:
            return True
        return not target.result.track.found

    def is_missing(self, target: SessionTarget) -> bool:
        """Whether a target is lost or was not found in the last image, and is not on probation."""
        long_term = self.long_term
        if long_term is not None and long_term.phase(target.key) is not Phase.SEEN:
            return long_term.phase(target.key) is Phase.LOST
        return not target.result.track.found

    def locate(self, targets: list[SessionTarget], image: BufferedImage, pixels: NDArray[np.uint8]) -> None:
        """Look for some of the targets in an image."""
        keys = [target.key for target in targets]
        try:
            tracks = self._tracker.locate(pixels, keys)
        except Exception:
            self.forget(keys)
            raise
        for target in targets:
            target.update(tracks[target.key], image)
            target.remember(self.is_lost(target))
        self._unlearned = targets

    def caught_up(self, target: SessionTarget) -> None:
        """Take note that a target has reached the present; nothing changes where it was there already."""
        target.pace = target.pixels = None
        if self.long_term is not None and self.is_known(target):
            self.long_term.caught_up(target.key)

    def learn(self) -> None:
        """Learn from the image that was looked at last, where the targets were seen clearly."""
        keys = [target.key for target in self._unlearned if self.is_known(target)]
        self._unlearned = []
        if keys:
            try:
                self._tracker.learn(keys)
            except Exception:
                self.forget(keys)
                raise

    def learn_target(self, key: int, pixels: NDArray[np.uint8], box: Box) -> None:
        """Learn a new target; one of the same key is forgotten once the new one has been learned.

        Raises:
            ValueError: for an image or a box that cannot be used; all targets are then as they were.
        """
        try:
            self._tracker.add(key, pixels, box)
        except ValueError:
            raise
        except Exception:
            if key not in self._tracker.names:  # the old target under this key is gone
                self.forget([key])
            raise

    def obey(self, orders: Orders) -> None:
        """Forget what is to be forgotten."""
        if orders.everything:
            self.forget([target.key for target in self.registry])
        self.forget([target.key for target in self.registry if target.id in orders.ids])

    def forget(self, keys: list[int]) -> None:
        """Forget targets, also in the tracker where it still knows them."""
        for target in [target for target in self.registry if target.key in keys]:
            self.registry.remove(target.id)
        for key in keys:
            if key in self._tracker.names:
                self._tracker.remove(key)
        self._forgotten()
