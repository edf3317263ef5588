"""What a detector has seen in an image of the past starts targets, finds lost ones again, and corrects sizes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.candidates import Candidate, HandOffSettings, KnownTarget, hand_off
from trdimp_ros.sessions.image_buffer import BufferedImage
from trdimp_ros.sessions.init_image import ImageFinder, decode
from trdimp_ros.sessions.registry import SessionTarget
from trdimp_ros.sessions.requests import InitRequest
from trdimp_ros.sessions.sightings import WaitingSighting
from trdimp_ros.sessions.timing import CatchUpPace, RestartLimit, Timing
from trdimp_ros.sessions.tracked_targets import TrackedTargets
from trdimp_ros.tracking import Box

STEADY_SIGHTINGS = 3
"""So many sightings of a target in a row must agree about its size before it is corrected."""
STEADY_SPREAD = 0.2
"""They agree where the ratio of the detector's size to the tracker's varies by less than about this share."""
LARGEST_CORRECTION = 2.0
"""A detector that says that a target is more times as long, or as short, means something else by its box."""
QUESTIONS = "questions"
"""What the time is booked under that lost targets' filters take to be asked."""


@dataclass
class HandOffCounts:
    """What has become of a detector's candidates; counted by one thread and read by any.

    Attributes:
        matched: Candidates that were targets which were tracked.
        rescued: Lost targets that were put where a candidate was, to be confirmed there.
        started: Candidates that new targets were requested for.
        resized: Sizes that were corrected.
    """

    matched: int = 0
    rescued: int = 0
    started: int = 0
    resized: int = 0


class DetectorHandOff:
    """Does what a session does with a detector's candidates.

    The candidates are compared with the targets as they were in the candidates' image. A lost target that is one of
    them is moved there and catches up with the present, on probation: it counts as found when it was seen clearly in
    `TrackerConfig.reacquire_confirmations` images, and nothing is learned before that. This needs a
    `LongTermTracker`.

    Args:
        targets: The targets of the session.
        finder: Finds the image of the candidates.
        timing: What is done for the sake of time.
        clock: The monotonic clock, seconds.
        request: Called with the request for every new target.

    Attributes:
        counts: What has become of the candidates.
    """

    def __init__(
        self,
        targets: TrackedTargets,
        finder: ImageFinder,
        timing: Timing,
        clock: Callable[[], float],
        request: Callable[[InitRequest], None],
    ) -> None:
        self._targets = targets
        self._finder = finder
        self._timing = timing
        self._clock = clock
        self._request = request
        self._limit = RestartLimit(timing.restart_share, clock)
        self.counts = HandOffCounts()

    def next_ready(self, waiting: Sequence[WaitingSighting]) -> WaitingSighting | None:
        """The first sighting that can be used now: its image is there, and all targets were looked for in it.

        A sighting that has waited for too long is ready to be refused.
        """
        if self._targets.registry.present and self._limit.must_wait(QUESTIONS):
            return None
        return next((sighting for sighting in waiting if self._is_ready(sighting)), None)

    def use(self, sighting: WaitingSighting, settings: HandOffSettings, waiting_requests: int) -> None:
        """Tell what a detector's candidates are, and act on it.

        Args:
            sighting: What it has seen.
            settings: What candidates are used for.
            waiting_requests: The number of targets that are about to be started.

        Raises:
            ValueError: saying why the candidates cannot be used; nothing is changed then.
        """
        if settings.auto_init == "off" or not sighting.candidates:
            return
        image, candidates = self._find(sighting)
        targets = [_known(target, image.number) for target in self._targets.registry]
        room = max(self._targets.max_targets - len(targets) - waiting_requests, 0)
        questions = Questions(self._targets, image)
        begun = self._clock()
        found = hand_off(candidates, targets, settings, questions.likeness, room)
        if questions.asked:
            self._limit.started(QUESTIONS, self._clock() - begun)
        for name, candidate in found.tracked:
            self._compare_sizes(self._targets.registry.get(name), image, candidate, settings.size_weight)
        for name, candidate in found.rescued:
            self._rescue(self._targets.registry.get(name), image, questions.pixels(), candidate)
        for candidate in found.new:
            self._request(InitRequest(candidate.box, image.stamp, label=candidate.label))
        self.counts.matched += len(found.tracked)
        self.counts.started += len(found.new)

    # The image

    def _is_ready(self, sighting: WaitingSighting) -> bool:
        if sighting.stamp and not self._finder.is_decided(sighting.stamp, sighting.since):
            return False
        number = self._last_number(sighting)
        return (
            number is None
            or all(target.seen >= number for target in self._targets.registry)
            or self._finder.is_out_of_patience(sighting.since)
        )

    def _last_number(self, sighting: WaitingSighting) -> int | None:
        """The number of a sighting's image, or of the one after it where it is not kept; None where none is there."""
        if not sighting.stamp:
            return sighting.newest
        image = self._finder.images.find(sighting.stamp) or self._finder.images.neighbors(sighting.stamp)[1]
        return None if image is None else image.number

    def _find(self, sighting: WaitingSighting) -> tuple[BufferedImage, list[Candidate]]:
        """The image of a sighting, and its candidates that are in the same place there."""
        candidates = list(sighting.candidates)
        images = self._finder.images
        image = images.find(sighting.stamp) if sighting.stamp else self._newest_then(sighting)
        if image is None:
            image, stayed = self._finder.stand_in(sighting.stamp, [candidate.box for candidate in candidates])
            candidates = [candidate for candidate, is_there in zip(candidates, stayed, strict=True) if is_there]
        if not images.is_recent(image):
            raise ValueError(
                f"their image is {self._clock() - image.arrival:.1f} s old, which is more than frame_buffer; raise it, "
                "or take a faster detector"
            )
        if any(target.seen < image.number for target in self._targets.registry):
            raise ValueError("the targets were not looked for in their image in time; is the tracker too slow?")
        return image, candidates

    def _newest_then(self, sighting: WaitingSighting) -> BufferedImage:
        """The image that was the newest when a sighting without stamp arrived."""
        if sighting.newest is None:
            raise ValueError("no image has arrived; does the camera run?")
        found = self._finder.images.between(sighting.newest - 1, sighting.newest)
        if not found:
            raise ValueError("their image is not kept any more; raise frame_buffer, or stamp them")
        return found[0]

    # What follows

    def _rescue(
        self, target: SessionTarget | None, image: BufferedImage, pixels: NDArray[np.uint8], candidate: Candidate
    ) -> None:
        """Put a lost target where a candidate was; one that was found in the meantime stays where it is."""
        long_term = self._targets.long_term
        if target is None or long_term is None or target.pace is not None or not self._targets.is_missing(target):
            return
        in_past = target.seen > image.number
        long_term.put_on_probation(target.key, candidate.box, in_past)
        self.counts.rescued += 1
        if in_past:
            target.go_back_to(image, pixels, CatchUpPace(self._timing.catch_up_seconds, self._clock))

    def _compare_sizes(
        self, target: SessionTarget | None, image: BufferedImage, candidate: Candidate, weight: float
    ) -> None:
        """Correct the size of a target that is seen, where several sightings in a row agree about it."""
        if target is None or not weight:
            return
        own, seen = target.place_in(image.number).box, candidate.box
        target.size_ratios.append((seen.h / own.h, seen.w / own.w))
        factors = steady_factors(target.size_ratios)
        if factors is None or target.pace is not None or self._targets.is_lost(target):
            return
        target.size_ratios.clear()
        height, width = (factor**weight for factor in factors)
        state = self._targets.tracker.target(target.key)
        resized = dataclasses.replace(
            state,
            size=state.size * np.array([height, width], np.float32),
            scale=state.scale * np.float32(math.sqrt(height * width)),
        )
        self._targets.tracker.set_target(target.key, resized)
        self.counts.resized += 1


class Questions:
    """Asks the filters of lost targets what they think of boxes in an image, which is decoded when it is needed.

    Args:
        targets: The targets of the session.
        image: The image.

    Attributes:
        asked: Whether anything was asked.
    """

    def __init__(self, targets: TrackedTargets, image: BufferedImage) -> None:
        self._targets = targets
        self._image = image
        self._pixels: NDArray[np.uint8] | None = None
        self.asked = False

    def pixels(self) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB.

        Raises:
            ValueError: where it cannot be decoded.
        """
        if self._pixels is None:
            self._pixels = decode(self._image)
        return self._pixels

    def likeness(self, pairs: Sequence[tuple[str, Box]]) -> list[float]:
        """The answers, see `candidates.Likeness`; 0 for a tracker that does not find lost targets again."""
        self.asked = True
        long_term, registry = self._targets.long_term, self._targets.registry
        if long_term is None:
            return [0.0] * len(pairs)
        known = [(target.key, box) for name, box in pairs if (target := registry.get(name)) is not None]
        return long_term.likeness(self.pixels(), known)


def steady_factors(ratios: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """By how much a target is too small, where sightings agree about it.

    Args:
        ratios: The detector's height and width in units of the tracker's, of each sighting.

    Returns:
        Factors for height and width; None where there are too few sightings, they differ, or the detector's box must
        mean something else.
    """
    if len(ratios) < STEADY_SIGHTINGS:
        return None
    logs = np.log(np.asarray(list(ratios)[-STEADY_SIGHTINGS:], np.float64))
    middle = np.median(logs, axis=0)
    if np.ptp(logs, axis=0).max() > STEADY_SPREAD or np.abs(middle).max() > math.log(LARGEST_CORRECTION):
        return None
    height, width = np.exp(middle).tolist()
    return height, width


def _known(target: SessionTarget, number: int) -> KnownTarget:
    """A target as it was in the image of this number."""
    place = target.place_in(number)
    return KnownTarget(target.id, target.label, place.box, place.lost)
