"""Tracking that does not give up: the camera's motion, targets kept apart, and finding again what was lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.appearance import CLEAR, IMAGES_BETWEEN
from trdimp_ros.tracking.camera_motion import CameraMotion
from trdimp_ros.tracking.candidate_check import area_round, likeness, size_factor
from trdimp_ros.tracking.exclusivity import displaced
from trdimp_ros.tracking.geometry import Box, box_at, check_image, position_and_size
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.reacquisition import TRUSTED, Evidence, judge
from trdimp_ros.tracking.rivals import BETTER, DOUBT, boxes_near
from trdimp_ros.tracking.searching_tracker import SearchingTracker
from trdimp_ros.tracking.target import TargetState, TrackResult, moved_state
from trdimp_ros.tracking.whereabouts import IN_PLACE, Phase, Whereabouts, overlap


class LongTermTracker(SearchingTracker):
    """Tracks several targets, and looks for those that it has lost.

    With `TrackerConfig.camera_motion` off, `exclusivity_overlap` 0 and `reacquire_budget` 0 it is a `MultiTracker`.

    `locate` moves the expected places with the camera, finds the targets and judges what was found. `learn` learns and
    then, when nobody waits for a result any more, looks for lost targets elsewhere in the same image: the results of
    the others are never later than they would be without. The next image is searched at what has been found.

    The arguments are those of `MultiTracker`.

    Attributes:
        detector_helps: Whether somebody tells where lost targets may be, see `put_on_probation`. Targets are then
            judged, and can be lost, also while the search is off.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._camera = CameraMotion(self.config.camera_motion)
        self._image: NDArray[np.uint8] | None = None  # located last, until `learn`
        self._looked_at: dict[Box, NDArray[np.float32]] = {}  # embeddings of boxes of that image
        self._image_size = (0, 0)
        self._not_to_learn: set[Hashable] = set()
        self._seen: set[Hashable] = set()  # certainly, in the image that each was located in last
        self.detector_helps = False

    def add(
        self, name: Hashable, image: NDArray[np.uint8], box: Sequence[float], random: RandomSource | int | None = None
    ) -> None:
        """Learn a target; see `MultiTracker.add`."""
        super().add(name, image, box, random)
        self._whereabouts[name] = Whereabouts(dataclasses.replace(self.target(name)))
        self._seen.discard(name)
        self._camera.forget(name)
        if self._looks_count:
            self._whereabouts[name].appearance.update(self.embeddings(check_image(image), [Box(*box)])[0])

    def remove(self, name: Hashable) -> None:
        """Forget a target; see `MultiTracker.remove`."""
        super().remove(name)
        self._whereabouts.pop(name, None)
        self._seen.discard(name)
        self._camera.forget(name)

    def reset(self) -> None:
        """Forget all targets."""
        super().reset()
        for name in list(self._whereabouts):
            self._camera.forget(name)
        self._whereabouts.clear()
        self._seen.clear()

    def phase(self, name: Hashable) -> Phase:
        """Whether a target is seen, lost, or on probation; never lost where nobody looks for it."""
        return self._whereabouts[name].phase

    def locate(
        self, image: NDArray[np.uint8], names: Collection[Hashable] | None = None
    ) -> dict[Hashable, TrackResult]:
        """Find the targets in the next image; see `MultiTracker.locate`."""
        image = check_image(image)
        wanted = [name for name in self.names if names is None or name in names]
        if names is None or len(wanted) == len(names):  # else the tracker refuses the names
            self._follow_camera(image, wanted)
        results = super().locate(image, names)
        self._image, self._image_size = image, (image.shape[0], image.shape[1])
        self._looked_at.clear()
        self._not_to_learn -= set(results)
        if self.config.reacquire_budget or self.config.exclusivity_overlap or self.detector_helps:
            apart = self._displaced(results)
            results = {
                name: self._displace(name, result) if name in apart else self._judge(name, result)
                for name, result in results.items()
            }
        self._seen -= set(results)
        self._seen |= {
            name for name, result in results.items() if result.state in TRUSTED and not self._whereabouts[name].on_trial
        }
        return results

    def learn(self, names: Collection[Hashable] | None = None) -> None:
        """Learn from the image located last, and look in it for what is lost; see `MultiTracker.learn`."""
        wanted = [name for name in self.names if names is None or name in names]
        super().learn([name for name in wanted if name not in self._not_to_learn])
        self.go_on_learning([name for name in wanted if name in self._not_to_learn])
        image, self._image = self._image, None
        if image is None:
            return
        if self.config.reacquire_budget:
            self.search_elsewhere(image, wanted)

    # With a detector's help

    @torch.inference_mode()
    def likeness(self, image: NDArray[np.uint8], questions: Sequence[tuple[Hashable, Box]]) -> list[float]:
        """How much boxes look like targets to the targets' filters; nothing changes.

        Args:
            image: (H, W, 3) uint8 RGB, not necessarily the newest.
            questions: Pairs of a target's name and a box of positive width and height.

        Returns:
            For each, at least 1 where the box may be the target again, 0 where not at all.
        """
        image = check_image(image)
        areas = [area_round(box, self._index(name), self._whereabouts[name]) for name, box in questions]
        peaks = iter(self.search(image, [area for area in areas if area is not None]))
        return [
            0.0 if area is None else likeness(next(peaks), box, self._whereabouts[name], self.config)
            for area, (name, box) in zip(areas, questions, strict=True)
        ]

    def put_on_probation(self, name: Hashable, box: Box, in_past: bool = False) -> None:
        """Say that a lost target may be in a box: it is looked for there next, and has to be seen again.

        Args:
            name: The target's name.
            box: Where it may be, in pixels of the image before the next one.
            in_past: Whether it was looked for in the next images before. Then `caught_up` tells when they are over;
                should it not be seen again, it goes back to where it was lost, as the camera sees that place now.
        """
        whereabouts = self._whereabouts[name]
        position, _ = position_and_size(box)
        state, factor = whereabouts.back_to_last_fit(self.target(name)), size_factor(whereabouts, box)
        self.set_target(
            name, dataclasses.replace(state, position=position, size=state.size * factor, scale=state.scale * factor)
        )
        whereabouts.begin_probation(position, in_past)
        self._camera.forget(name)

    def caught_up(self, name: Hashable) -> None:
        """Say that a target is looked for in new images from now on, see `put_on_probation`."""
        self._whereabouts[name].caught_up()

    # Before an image

    def _follow_camera(self, image: NDArray[np.uint8], names: list[Hashable]) -> None:
        """Move the places of targets by what the camera has done since each was looked for last."""
        if self.config.camera_motion == "off":
            return
        boxes = {}
        for name in names:
            state = self.target(name)
            lost = self._whereabouts[name].phase is Phase.LOST
            boxes[name] = None if lost else box_at(state.position, state.size)
        for name, estimate in self._camera.update(image, boxes, self._seen).items():
            if not estimate.trusted:
                continue
            whereabouts, state = self._whereabouts[name], self.target(name)
            whereabouts.move(estimate.motion)
            if not whereabouts.stays_in_image:
                self.set_target(name, moved_state(state, estimate.motion))

    # After it

    def _judge(self, name: Hashable, result: TrackResult) -> TrackResult:
        """What is said of a target, and where it is looked for next."""
        whereabouts = self._whereabouts[name]
        whereabouts.detector_helps = self.detector_helps
        result = self._choose_peak(name, result)
        state = self.target(name)
        embedding = self._embedding_to_judge(whereabouts, result, state)
        anew = whereabouts.appearance.mean is None
        was_lost, unlikeness = whereabouts.phase is Phase.LOST, whereabouts.compare(embedding)
        verdict = judge(whereabouts, result, Evidence(state, self._image_size, unlikeness), self.config)
        clear = verdict is State.NORMAL and result.confidence >= CLEAR * state.usual_confidence
        if was_lost and whereabouts.phase is not Phase.LOST:  # it has been taken for the target in this image
            whereabouts.compare(embedding)
        doubtful = whereabouts.strange > 0 or whereabouts.on_trial
        due = state.frame_number % IMAGES_BETWEEN == 0 and not doubtful
        if embedding is not None and clear and (anew or due):
            whereabouts.appearance.update(embedding)
        if whereabouts.astray:
            self._keep_as_trusted(name)
        if verdict not in (State.NORMAL, State.HARD_NEGATIVE) or whereabouts.on_trial:
            self._not_to_learn.add(name)
        if verdict is State.NOT_FOUND and whereabouts.phase is not Phase.SEEN:
            self._put_back(name)
            state = self.target(name)
            return dataclasses.replace(result, state=verdict, box=box_at(state.position, state.size))
        return dataclasses.replace(result, state=verdict)

    def _keep_as_trusted(self, name: Hashable) -> None:
        """What is followed in doubt changes neither the usual confidence of a target nor the size seen clearly."""
        fit, state = self._whereabouts[name].last_fit, self.target(name)
        state = dataclasses.replace(
            state,
            usual_confidence=fit.usual_confidence,
            clear_size=fit.clear_size,
            clear_scale=fit.clear_scale,
        )
        self.set_target(name, state)

    def _choose_peak(self, name: Hashable, result: TrackResult) -> TrackResult:
        """The result, or that of the second peak of the scores if this looks much more like the target."""
        whereabouts, image = self._whereabouts[name], self._image
        jumped = whereabouts.has_jumped(self.target(name))
        in_doubt = result.state is State.HARD_NEGATIVE or (result.found and (whereabouts.astray or jumped))
        if image is None or not in_doubt or whereabouts.phase is not Phase.SEEN or whereabouts.on_trial:
            return result
        if not self._looks_count or whereabouts.appearance.mean is None:
            return result
        first = whereabouts.appearance.unlikeness(self._embedding(image, result.box))
        if first < DOUBT:
            return result
        size = whereabouts.last_fit.size
        rival = self.second_peak(name, size)
        if rival is None or rival[1] < self.config.target_not_found_threshold or self._taken(name, rival[0]):
            return result
        boxes = boxes_near(rival[0], size)
        unlikeness = [whereabouts.appearance.unlikeness(one) for one in self.embeddings(image, boxes)]
        best = min(range(len(boxes)), key=lambda index: unlikeness[index])
        if unlikeness[best] > BETTER * first:
            return result
        self.relocate(name, *position_and_size(boxes[best]))
        self._keep_as_trusted(name)
        state = State.UNCERTAIN if rival[1] < self.config.uncertain_threshold else result.state
        return dataclasses.replace(result, box=boxes[best], confidence=rival[1], state=state)

    @property
    def _looks_count(self) -> bool:
        return self.has_appearance_head and self.config.reacquire_looks > 0

    def _embedding_to_judge(
        self, whereabouts: Whereabouts, result: TrackResult, state: TargetState
    ) -> NDArray[np.float32] | None:
        """What the thing that was found looks like; None where looks do not count, or nothing depends on them now."""
        if self._image is None or not self._looks_count or not result.found:
            return None
        weak = result.confidence < whereabouts.threshold(self.config)
        jumped = overlap(whereabouts.last_fit, state) < IN_PLACE
        due = state.frame_number % IMAGES_BETWEEN == 0 or weak or jumped or whereabouts.strange > 0
        due = due or whereabouts.appearance.mean is None or whereabouts.on_trial
        if whereabouts.phase is Phase.SEEN and not due:
            return None
        return self._embedding(self._image, result.box)

    def _embedding(self, image: NDArray[np.uint8], box: Box) -> NDArray[np.float32]:
        """What a box of the image located last looks like; it may be asked for more than once."""
        if box not in self._looked_at:
            self._looked_at[box] = self.embeddings(image, [box])[0]
        return self._looked_at[box]

    def _displaced(self, results: dict[Hashable, TrackResult]) -> list[Hashable]:
        """The targets that are on one object with another one that fits better."""
        if not self.config.exclusivity_overlap:
            return []
        unverified = [
            name
            for name in results
            if self._whereabouts[name].phase is not Phase.SEEN
            or self._whereabouts[name].astray
            or self._whereabouts[name].on_trial
        ]
        return displaced(results, self.config.exclusivity_overlap, unverified)

    def _displace(self, name: Hashable, result: TrackResult) -> TrackResult:
        """A target that is not where it was found: it goes back to where it fitted last."""
        whereabouts = self._whereabouts[name]
        whereabouts.miss(self.config, found=False)
        self._not_to_learn.add(name)
        self._put_back(name)
        state, verdict = self.target(name), State.UNCERTAIN
        if whereabouts.phase is not Phase.SEEN:  # it was lost, and what it was found on is another target
            verdict = State.NOT_FOUND
        return dataclasses.replace(result, state=verdict, box=box_at(state.position, state.size))

    def _put_back(self, name: Hashable) -> None:
        self.set_target(name, self._whereabouts[name].back_to_last_fit(self.target(name)))
