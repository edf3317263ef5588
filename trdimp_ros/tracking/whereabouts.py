"""What is remembered of a target besides where the tracker looks for it, on the host and without images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking.appearance import FAMILIAR, STRANGE, Appearance
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Pair, box_at, intersection_over_union
from trdimp_ros.tracking.returns import Return, Returns
from trdimp_ros.tracking.search_plan import LostTarget, SearchSchedule
from trdimp_ros.tracking.similarity import Similarity, moved
from trdimp_ros.tracking.target import TargetState, moved_state

SPEED_AVERAGE = 0.2
"""Share of the newest image in the average speed."""

FOLLOWED = 0.7
"""A target that moves less in the image than this share of its motion in the scene is followed by the camera."""

UNCERTAIN_MISS = 0.25
"""An image in which the target is found but uncertain counts so much of one in which it is not found: a tracker that
follows its target in doubt is worth more than a search for it."""

IN_PLACE = 0.5
"""What looks strange but overlaps the target's last trusted box by this much is the target, half hidden or changed."""

AFTER_JUMP = 15
"""For so many images from a jump on it may be something else that has passed before the target, which is near still."""

LONGEST_DOUBT = 500
"""After so many images the target has changed for good, and is learned anew."""


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
        images: Images in which it was looked for.
        images_unclear: Images since it was trusted last.
        missed: Images since then in which it was not found, with `UNCERTAIN_MISS` for each of the others.
        speed: Image pixels that it moves per image, an average.
        speed_in_scene: Likewise, without what the camera's motion explains, where that is known.
        speed_in_image: Likewise, with it.
        place_in_scene: Where something would be now that stood still in the scene where the target was trusted last.
        place_in_image: Where the target was trusted last, as the image showed it then.
        confirmed: Images in which it was seen again while on probation.
        on_probation: Images that the probation has lasted.
        in_past: Whether the target is looked for in images of the past, whose motion its last fit has made already.
        detector_helps: Whether somebody else than the tracker's own search looks for it when it is lost.
        appearance: What it looked like when it was seen clearly.
        unlikeness: How much what was found last differs from that; None: it was never looked at.
        motion_known: Whether the camera's motion since the target was trusted last is known.
        since_jump: Images since what is tracked was not where it had been trusted last; `AFTER_JUMP` at most.
        returns: What is taken for it come back, until that is certain.
        speeds_before_return: The three speeds when that began.
        strange: For so many images what is tracked has not looked like the target.
        astray: For so many of them it has not been where the target fitted last either: perhaps it is something else.
        searched_last_fit: Whether the area searched last for an astray target was the one round its last fit: that and
            those of the schedule take turns.
        schedule: Where it is looked for while it is lost or astray.
    """

    last_fit: TargetState
    phase: Phase = Phase.SEEN
    images: int = 0
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
    detector_helps: bool = False
    appearance: Appearance = field(default_factory=Appearance)
    unlikeness: float | None = None
    motion_known: bool = False
    since_jump: int = AFTER_JUMP
    returns: Returns = field(default_factory=Returns)
    speeds_before_return: tuple[float, float, float] = (0.0, 0.0, 0.0)
    strange: int = 0
    astray: int = 0
    searched_last_fit: bool = False
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
        self.place_in_scene, self.motion_known = moved(self.place_in_scene, motion), True
        if not self.stays_in_image:
            self.last_fit = moved_state(self.last_fit, motion)
        self.returns.move(motion, with_fit=not self.stays_in_image)

    def threshold(self, config: TrackerConfig) -> float:
        """Least confidence of a place that may be the target again."""
        return max(config.reacquire_threshold, config.reacquire_share * self.last_fit.usual_confidence)

    def trust(self, state: TargetState) -> None:
        """Remember where the target is seen now."""
        if self.phase is Phase.SEEN and self.images_unclear == 0:
            self._measure_speeds(state.position)
        self.phase, self.images_unclear, self.missed, self.in_past = Phase.SEEN, 0, 0.0, False
        self.motion_known = False
        self.forget_doubt()
        self.last_fit = dataclasses.replace(state)
        self.place_in_scene = self.place_in_image = state.position

    def _measure_speeds(self, position: Pair) -> None:
        def average(speed: float, before: Pair) -> float:
            return speed + SPEED_AVERAGE * (float(np.linalg.norm(position - before)) - speed)

        self.speed = average(self.speed, self.last_fit.position)
        if self.motion_known:
            self.speed_in_scene = average(self.speed_in_scene, self.place_in_scene)
            self.speed_in_image = average(self.speed_in_image, self.place_in_image)

    def compare(self, embedding: NDArray[np.float32] | None) -> float | None:
        """How much what was found differs from the target, on average since it was taken for it again.

        Args:
            embedding: What it looks like (D,); None: nobody has looked.

        Returns:
            See `Appearance.unlikeness`; None: not known.
        """
        if embedding is None or self.appearance.mean is None:
            return None
        if self.returns.now is not None:
            embedding = self.returns.now.add(embedding)
        return self.appearance.unlikeness(embedding)

    @property
    def on_trial(self) -> bool:
        """Whether the target is seen again, but not certainly."""
        return self.phase is Phase.SEEN and self.returns.on_trial

    def has_jumped(self, state: TargetState) -> bool:
        """Whether what is tracked was not where the target was trusted last, in this image or a little before.

        Args:
            state: Where it is.
        """
        if overlap(self.last_fit, state) < IN_PLACE:
            self.since_jump = 0
        else:
            self.since_jump = min(self.since_jump + 1, AFTER_JUMP)
        return self.since_jump < AFTER_JUMP

    def look(self, state: TargetState, unlikeness: float | None) -> None:
        """Take note of what is tracked.

        Args:
            state: Where it is.
            unlikeness: How much it differs from the target; None: nobody has looked.
        """
        if unlikeness is not None:
            self.unlikeness = unlikeness
            looks_strange = self.appearance.settled and unlikeness > (FAMILIAR if self.strange else STRANGE)
            self.strange = self.strange + 1 if looks_strange else 0
        away = self.strange and overlap(self.last_fit, state) < IN_PLACE
        self.astray = self.astray + 1 if away else 0
        if self.astray == 1:
            self.schedule = SearchSchedule()
        if self.strange > LONGEST_DOUBT:
            self.forget_doubt()
            self.appearance = Appearance()

    def forget_doubt(self) -> None:
        """Take what is tracked for the target."""
        self.strange = self.astray = 0

    def follow_in_doubt(self) -> None:
        """Take note of an image in which it was found, but did not look like the target."""
        self.images_unclear += 1
        self.missed = 0.0

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
        return bool(config.reacquire_budget) or self.detector_helps

    def lose(self) -> None:
        """Start looking for it elsewhere."""
        if self.phase is Phase.SEEN:
            self.schedule = SearchSchedule()
        self.phase = Phase.LOST
        self.returns.end(self.last_fit.position, self.images)
        self.forget_doubt()

    def refuse(self, position: Pair) -> None:
        """What was taken for the target come back is something else: it is lost, as it was lost before.

        Args:
            position: Where that thing is.
        """
        now = self.returns.now
        if now is not None:
            self.last_fit, self.in_past = now.fit, now.in_past
            self.images_unclear = max(self.images_unclear, now.absence + now.images)
            self.speed, self.speed_in_scene, self.speed_in_image = self.speeds_before_return
        self.returns.end(position, self.images)
        self.lose()

    def caught_up(self) -> None:
        """It is looked for in new images from now on."""
        self.in_past = False
        if self.returns.now is not None:
            self.returns.now.in_past = False

    @property
    def to_be_searched(self) -> bool:
        """Whether it is lost, or what is tracked may be something else."""
        return self.phase is Phase.LOST or (self.phase is Phase.SEEN and self.astray > 0)

    def begin_probation(self, position: Pair, in_past: bool = False) -> None:
        """Something may be the target; it has to be seen again.

        Args:
            position: Where it is.
            in_past: Whether it is looked for in images of the past first.
        """
        self.phase, self.confirmed, self.on_probation = Phase.PROBATION, 0, 0
        self.in_past = self.in_past or in_past
        self.speeds_before_return = self.speed, self.speed_in_scene, self.speed_in_image
        since = 0 if self.returns.refused is None else self.images - self.returns.refused.image
        now = Return(self.last_fit, self.images_unclear, self.in_past)
        self.returns.begin(now, position, self.images, reach=self.length + self.speed * since)


def overlap(first: TargetState, second: TargetState) -> float:
    """Intersection over union of two targets' boxes."""
    return intersection_over_union(box_at(first.position, first.size), box_at(second.position, second.size))
