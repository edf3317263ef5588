"""A tracker that looks elsewhere in an image for targets that it has lost, or that it is perhaps mistaken about."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.appearance_tracker import AppearanceTracker
from trdimp_ros.tracking.geometry import Pair
from trdimp_ros.tracking.image_search import AreaToSearch, ScorePeak
from trdimp_ros.tracking.reacquisition import is_candidate
from trdimp_ros.tracking.rivals import BETTER, boxes_near
from trdimp_ros.tracking.search_plan import SearchPlace, shares
from trdimp_ros.tracking.whereabouts import Whereabouts


class SearchingTracker(AppearanceTracker):
    """The search of a `LongTermTracker`.

    The arguments are those of `MultiTracker`.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._whereabouts: dict[Hashable, Whereabouts] = {}
        self._turn = 0

    def search_elsewhere(self, image: NDArray[np.uint8], names: Sequence[Hashable]) -> None:
        """Look in an image for those of these targets that are sought, and put on probation what may have been found.

        Args:
            image: (H, W, 3) uint8 RGB, in which the targets were located.
            names: The targets that have been located in it.
        """
        sought = [name for name in names if self._whereabouts[name].to_be_searched]
        if not sought:
            return
        self._turn += 1
        planned = [
            (name, place)
            for name, share in self._shares(sought).items()
            for place in self._plan(name, share, image.shape[:2])
        ]
        peaks = self.search(image, [self._area(name, place) for name, place in planned])
        self.stage("search")
        for name in sought:
            mine = [(place, peak) for (other, place), peak in zip(planned, peaks, strict=True) if other == name]
            found = self._best(name, mine)
            if found is not None and self._looks_better(name, image, *found):
                self._propose(name, *found)

    def _shares(self, sought: list[Hashable]) -> dict[Hashable, int]:
        """How many areas are searched for each target: one for those astray, what they leave for those lost."""
        budget, turn = self.config.reacquire_budget, self._turn
        counts = dict(zip(sought, shares(budget, len(sought), turn), strict=True))
        counts = {name: min(count, 1) if self._whereabouts[name].astray else count for name, count in counts.items()}
        lost = [name for name in sought if not self._whereabouts[name].astray]
        for name, more in zip(lost, shares(budget - sum(counts.values()), len(lost), turn), strict=True):
            counts[name] += more
        return counts

    def _propose(self, name: Hashable, place: SearchPlace, peak: ScorePeak) -> None:
        """Put a target on probation where it has perhaps been found."""
        whereabouts, factor = self._whereabouts[name], np.float32(place.size_factor)
        state = whereabouts.back_to_last_fit(self.target(name))
        state = dataclasses.replace(state, position=peak.position, size=state.size * factor, scale=state.scale * factor)
        self.set_target(name, state)
        whereabouts.begin_probation(peak.position)

    def _plan(self, name: Hashable, count: int, image_size: tuple[int, ...]) -> list[SearchPlace]:
        whereabouts = self._whereabouts[name]
        if whereabouts.astray and count:
            whereabouts.searched_last_fit = not whereabouts.searched_last_fit
            if whereabouts.searched_last_fit:  # tracking, which searches it for lost targets, has left it
                return [SearchPlace(whereabouts.as_lost().position, 1.0)]
        side = float(whereabouts.last_fit.clear_scale) * self.config.image_sample_size
        return whereabouts.schedule.take(count, whereabouts.as_lost(), (image_size[0], image_size[1]), side)

    def _area(self, name: Hashable, place: SearchPlace) -> AreaToSearch:
        fit, factor = self._whereabouts[name].last_fit, np.float32(place.size_factor)
        center = np.asarray(place.position, np.float32)
        return AreaToSearch(self._index(name), center, fit.clear_size * factor, fit.clear_scale * factor)

    def _best(self, name: Hashable, peaks: list[tuple[SearchPlace, ScorePeak]]) -> tuple[SearchPlace, ScorePeak] | None:
        """The place that may be the target again; None where no place stands out."""
        if not peaks:
            return None
        place, best = max(peaks, key=lambda pair: pair[1].confidence)
        length = self._whereabouts[name].length
        elsewhere = [peak.confidence for _, peak in peaks if np.linalg.norm(peak.position - best.position) > length]
        second = max([best.second, *elsewhere])
        if not is_candidate(best.confidence, second, self._whereabouts[name], self.config) or self._taken(
            name, best.position
        ):
            return None
        return place, best

    def _looks_better(self, name: Hashable, image: NDArray[np.uint8], place: SearchPlace, peak: ScorePeak) -> bool:
        """Whether something elsewhere looks much more like a target than what is tracked in its stead."""
        whereabouts, state = self._whereabouts[name], self.target(name)
        if not whereabouts.astray:
            return True
        if whereabouts.unlikeness is None or (np.abs(peak.position - state.position) <= state.size / 2).all():
            return False
        size = whereabouts.clear_size * np.float32(place.size_factor)
        embeddings = self.embeddings(image, boxes_near(peak.position, size))
        return min(whereabouts.appearance.unlikeness(one) for one in embeddings) <= BETTER * whereabouts.unlikeness

    def _taken(self, name: Hashable, position: Pair) -> bool:
        """Whether another target is seen at a place, and certainly is that target."""
        for other, whereabouts in self._whereabouts.items():
            if other != name and not whereabouts.to_be_searched and not whereabouts.on_trial:
                state = self.target(other)
                if (np.abs(position - state.position) <= state.size / 2).all():
                    return True
        return False
