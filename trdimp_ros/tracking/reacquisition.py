"""Whether a target is seen, lost, or perhaps found again: the rules, on the host and without images.

A target that was not seen clearly for some images is lost. What may be the target again counts only after
verification: a score above a threshold of its own, clear of the second best, a box of believable size, and all that in
several images in a row. Until then the target's state is uncertain and nothing is learned.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from trdimp_ros.tracking.appearance import Appearance, demanded
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Pair, box_at, intersection_over_union
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.search_plan import LostTarget, SearchSchedule
from trdimp_ros.tracking.similarity import Similarity
from trdimp_ros.tracking.target import TargetState, TrackResult

LARGEST_CHANGE = 2.5
"""A target that returns is believed to be at most this many times as long, or as short, as it was seen last."""
LARGEST_STRETCH = 3.0
"""Likewise for the ratio of its width and height."""
HOLD = 0.7
"""On probation a confidence below this share of the threshold ends it; between the two it goes on."""
LONGEST_PROBATION = 3
"""Probation ends after so many times `reacquire_confirmations` images."""
LEAST_OVERLAP = 0.1
"""The box of a target on probation overlaps the last one by this much: a place that jumps is noise."""
SPEED_AVERAGE = 0.2
"""Share of the newest image in the average speed."""
FOLLOWED = 0.7
"""A target that moves less in the image than this share of its motion in the scene is followed by the camera."""

AT_EDGE = 0.6
"""A target whose middle is nearer to the image's edge than this share of its size was about to leave the image."""
JUMP = 1.0
"""And if then something is found farther away than this many of its sizes, it has to be good enough to be the target
come back."""

UNCERTAIN_MISS = 0.25
"""An image in which the target is found but uncertain counts so much of one in which it is not found: a tracker that
follows its target in doubt is worth more than a search for it."""

TRUSTED = (State.NORMAL, State.HARD_NEGATIVE)


class Evidence(NamedTuple):
    """What an image says of a target besides the tracker's result.

    Attributes:
        state: Where the tracker has found it.
        image_size: Rows and columns of the image.
        unlikeness: How much that place differs from the target's usual looks, see `Appearance`; None: not known.
    """

    state: TargetState
    image_size: tuple[int, int]
    unlikeness: float | None = None


class Phase(Enum):
    """What is known of a target."""

    SEEN = "seen"
    LOST = "lost"
    PROBATION = "probation"


@dataclass
class Whereabouts:
    """What is remembered of one target besides where the tracker looks for it.

    Attributes:
        last_fit: The target's state when it was trusted last; its place moves with the camera, unless it stays in the
            image.
        phase: What is known of it.
        images_unclear: Images since then.
        missed: Images since then in which it was not found, with `UNCERTAIN_MISS` for each of the others.
        speed: Image pixels that it moves per image, an average.
        speed_in_scene: Likewise, without what the camera's motion explains.
        speed_in_image: Likewise, with it.
        place_in_scene: Where something would be now that stood still in the scene where the target was trusted last.
        place_in_image: Where the target was trusted last, as the image showed it then.
        confirmed: Images in which it was seen again while on probation.
        on_probation: Images that the probation has lasted.
        in_past: Whether the target is looked for in images of the past, whose motion its last fit has made already.
        sought: Whether somebody else than the tracker's own search looks for it when it is lost.
        appearance: What it looked like when it was seen clearly.
        schedule: Where it is looked for while it is lost.
    """

    last_fit: TargetState
    phase: Phase = Phase.SEEN
    images_unclear: int = 0
    missed: float = 0.0
    speed: float = 0.0
    speed_in_scene: float = 0.0
    speed_in_image: float = 0.0
    place_in_scene: Pair = field(init=False)
    place_in_image: Pair = field(init=False)
    confirmed: int = 0
    on_probation: int = 0
    in_past: bool = False
    sought: bool = False
    appearance: Appearance = field(default_factory=Appearance)
    schedule: SearchSchedule = field(default_factory=SearchSchedule)

    def __post_init__(self) -> None:
        self.place_in_scene = self.place_in_image = self.last_fit.position

    @property
    def stays_in_image(self) -> bool:
        """Whether the target moves less in the image than in the scene: the camera follows it as it turns."""
        return self.speed_in_image < FOLLOWED * self.speed_in_scene

    @property
    def clear_size(self) -> Pair:
        """Height and width when it was seen clearly last."""
        return self.last_fit.clear_size

    @property
    def length(self) -> float:
        """sqrt(height * width) of that."""
        return float(np.sqrt(np.prod(self.clear_size, dtype=np.float64)))

    def as_lost(self) -> LostTarget:
        """What the plan of the search depends on."""
        row, column = (float(value) for value in self.last_fit.position)
        return LostTarget((row, column), self.length, self.speed, self.images_unclear)

    def move(self, motion: Similarity) -> None:
        """Take part in the camera's motion, unless the camera follows the target."""
        if self.in_past:
            return
        self.place_in_scene = moved(self.place_in_scene, motion)
        if not self.stays_in_image:
            self.last_fit = dataclasses.replace(self.last_fit, position=moved(self.last_fit.position, motion))

    def threshold(self, config: TrackerConfig) -> float:
        """Least confidence of a place that may be the target again."""
        return max(config.reacquire_threshold, config.reacquire_share * self.last_fit.usual_confidence)

    def trust(self, state: TargetState) -> None:
        """Remember where the target is seen now."""
        if self.phase is Phase.SEEN and self.images_unclear == 0:
            self._measure_speeds(state.position)
        self.phase, self.images_unclear, self.missed, self.in_past = Phase.SEEN, 0, 0.0, False
        self.last_fit = dataclasses.replace(state)
        self.place_in_scene = self.place_in_image = state.position

    def _measure_speeds(self, position: Pair) -> None:
        def average(speed: float, before: Pair) -> float:
            return speed + SPEED_AVERAGE * (float(np.linalg.norm(position - before)) - speed)

        self.speed = average(self.speed, self.last_fit.position)
        self.speed_in_scene = average(self.speed_in_scene, self.place_in_scene)
        self.speed_in_image = average(self.speed_in_image, self.place_in_image)

    def back_to_last_fit(self, state: TargetState) -> TargetState:
        """The state of a target that is put back to where it fitted last, with the size seen clearly last."""
        fit = self.last_fit
        return dataclasses.replace(fit, size=fit.clear_size, scale=fit.clear_scale, frame_number=state.frame_number)

    def miss(self, config: TrackerConfig, found: bool) -> None:
        """Take note of an image in which it was not seen clearly, though perhaps found."""
        self.images_unclear += 1
        self.missed += UNCERTAIN_MISS if found else 1.0
        too_long = self.can_be_lost(config) and self.missed >= config.reacquire_after
        if self.phase is Phase.PROBATION or (self.phase is Phase.SEEN and too_long):
            self.lose()

    def can_be_lost(self, config: TrackerConfig) -> bool:
        """Whether anybody looks for it when it is lost."""
        return bool(config.reacquire_budget) or self.sought

    def lose(self) -> None:
        """Start looking for it elsewhere."""
        if self.phase is Phase.SEEN:
            self.schedule = SearchSchedule()
        self.phase = Phase.LOST

    def begin_probation(self, in_past: bool = False) -> None:
        """Something may be the target; it has to be seen again, perhaps in images of the past first."""
        self.phase, self.confirmed, self.on_probation = Phase.PROBATION, 0, 0
        self.in_past = self.in_past or in_past


def moved(position: Pair, motion: Similarity) -> Pair:
    """Where a position (row, column) is after a motion of the image."""
    x, y = motion.apply(float(position[1]), float(position[0]))
    return np.array([y, x], np.float32)


def believable_size(size: Pair, clear_size: Pair) -> bool:
    """Whether a target last seen clearly at one size (height, width) may return at another."""
    change = np.asarray(size, np.float64) / np.asarray(clear_size, np.float64)
    if not np.isfinite(change).all() or (change <= 0).any():
        return False
    length, stretch = float(np.sqrt(change[0] * change[1])), float(max(change[0] / change[1], change[1] / change[0]))
    return 1 / LARGEST_CHANGE <= length <= LARGEST_CHANGE and stretch <= LARGEST_STRETCH


def is_candidate(confidence: float, second: float, whereabouts: Whereabouts, config: TrackerConfig) -> bool:
    """Whether a place scores high enough, and clearly enough, to be a lost target again."""
    return confidence >= whereabouts.threshold(config) and second <= config.reacquire_margin * confidence


def has_left(whereabouts: Whereabouts, position: Pair, image_size: tuple[int, int]) -> bool:
    """Whether a target was at the image's edge when it was trusted last, and what is found now is elsewhere.

    Args:
        whereabouts: What is remembered of the target.
        position: Row and column of what is found.
        image_size: Rows and columns of the image.
    """
    last, size = whereabouts.last_fit.position, whereabouts.clear_size
    to_edge = np.minimum(last, np.asarray(image_size) - 1 - last)
    return bool((to_edge < AT_EDGE * size).any() and (np.abs(position - last) > JUMP * size).any())


def judge(whereabouts: Whereabouts, result: TrackResult, evidence: Evidence, config: TrackerConfig) -> State:
    """Take note of an image, and decide what is said of the target.

    Args:
        whereabouts: What is remembered of the target; changed.
        result: What the tracker says of the image.
        evidence: What else is known of the image.
        config: The parameters in force.

    Returns:
        The target's state. The target goes back to its last fit where it is `State.NOT_FOUND` and no longer
        `Phase.SEEN`.
    """
    state, threshold = evidence.state, whereabouts.threshold(config)
    sure = result.confidence >= threshold * demanded(evidence.unlikeness, config.reacquire_looks)
    if whereabouts.phase is Phase.SEEN:
        weak = result.found and not sure and whereabouts.can_be_lost(config)
        if weak and has_left(whereabouts, state.position, evidence.image_size):
            result = dataclasses.replace(result, state=State.NOT_FOUND)
            whereabouts.lose()
        return _judge_seen(whereabouts, result, state, config)
    whereabouts.images_unclear += 1
    credible = (
        result.found and result.confidence >= HOLD * threshold and believable_size(state.size, whereabouts.clear_size)
    )
    if whereabouts.phase is Phase.LOST:
        if sure and credible and result.state is State.NORMAL:
            whereabouts.begin_probation()
            return _confirm(whereabouts, result, state, config)
        return State.UNCERTAIN if credible else State.NOT_FOUND
    whereabouts.on_probation += 1
    looks_wrong = not sure and result.confidence >= threshold
    if looks_wrong or not credible or whereabouts.on_probation > LONGEST_PROBATION * config.reacquire_confirmations:
        whereabouts.lose()
        return State.NOT_FOUND
    if sure and result.state in TRUSTED:
        return _confirm(whereabouts, result, state, config)
    return State.UNCERTAIN


def _judge_seen(whereabouts: Whereabouts, result: TrackResult, state: TargetState, config: TrackerConfig) -> State:
    if result.state in TRUSTED:
        whereabouts.trust(state)
        return result.state
    whereabouts.miss(config, result.found)
    return result.state


def _confirm(whereabouts: Whereabouts, result: TrackResult, state: TargetState, config: TrackerConfig) -> State:
    whereabouts.confirmed += 1
    if whereabouts.confirmed < config.reacquire_confirmations:
        return State.UNCERTAIN
    whereabouts.trust(state)
    return result.state


def overlap(first: TargetState, second: TargetState) -> float:
    """Intersection over union of two targets' boxes."""
    return intersection_over_union(box_at(first.position, first.size), box_at(second.position, second.size))
