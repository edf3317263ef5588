"""A target: what a frame says of it, where it is, and what the host remembers of it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.geometry import Box, Coordinates, Pair, box_at, sample_box, sample_location
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.occlusion import hold_size, size_trust, usual_confidence, wholly_seen
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.similarity import Similarity, moved


@dataclass(frozen=True)
class TrackResult:
    """What one frame says of the target.

    Attributes:
        box: The target's box in image pixels; the last known one when it is not found.
        confidence: Maximum of the score map; about 1 for a sure target, unbounded.
        state: See `State`.
        search_area: The part of the image that was searched.
    """

    box: Box
    confidence: float
    state: State
    search_area: Box

    @property
    def found(self) -> bool:
        """Whether the box is where the target is seen now."""
        return self.state != State.NOT_FOUND

    @property
    def distractor(self) -> bool:
        """Whether something that looks like the target is in sight too."""
        return self.state == State.HARD_NEGATIVE


@dataclass
class TargetState:
    """Where the target is, on the host; float32 throughout.

    Attributes:
        position: Row and column of its middle.
        size: Height and width.
        scale: Image pixels per pixel of the network input.
        base_size: Size of the target divided by the scale at initialisation.
        clear_size: Size when the target was last seen clearly, see `TrackerConfig.clear_view_threshold`.
        clear_scale: Scale of that frame.
        frame_number: 1 for the first frame.
        usual_confidence: The confidence with which it is seen, a running average; 0 before the first image.
    """

    position: Pair
    size: Pair
    scale: np.float32
    base_size: Pair
    clear_size: Pair
    clear_scale: np.float32
    frame_number: int = 1
    usual_confidence: float = 0.0


@dataclass(frozen=True)
class LocatedFrame:
    """The frame that a target was located in last.

    Attributes:
        decision: What was decided for the target.
        sample_position: Centre of the search area of the chosen scale.
        sample_scale: Image pixels of the search area per pixel of the network input.
    """

    decision: FrameDecision
    sample_position: Pair
    sample_scale: float

    @property
    def trusted(self) -> bool:
        """Whether it is to be learned from."""
        return self.decision.state not in (State.NOT_FOUND, State.UNCERTAIN)


@dataclass
class TrackedTarget:
    """The host's side of one target.

    Attributes:
        name: The name that the user has given it.
        state: Where it is.
        random: The source of its random numbers.
        located: The frame that it was located in last, until it has been learned from.
        score_map: The score map of that frame, on the device.
        postponed_iterations: Steps for the target filter that wait for the next frame to learn from.
    """

    name: Hashable
    state: TargetState
    random: RandomSource
    located: LocatedFrame | None = None
    score_map: torch.Tensor | None = None
    postponed_iterations: int = 0
    _jitter: NDArray[np.float32] | None = None

    def jitter(self, candidates: int) -> NDArray[np.float32]:
        """Random numbers (candidates, 4) for the candidate boxes: new ones after every frame that was refined."""
        if self._jitter is None:
            self._jitter = self.random.jitter(candidates).numpy()
        return self._jitter

    def apply(
        self, decision: FrameDecision, coordinates: list[Coordinates], score_map: torch.Tensor, config: TrackerConfig
    ) -> TrackResult:
        """Move to where a frame has found the target.

        Args:
            decision: What was decided for the target in this frame.
            coordinates: The search areas of the frame, one for each scale.
            score_map: The score map of the chosen scale.
            config: The parameters in force.
        """
        state = self.state
        if not decision.finite:  # half precision that overflowed, or weights that are no numbers
            decision = decision.lost(state.position, state.size, state.scale)
        trust = size_trust(decision.confidence, state.usual_confidence, config.occlusion_share)
        decision = hold_size(decision, trust, state.clear_size, state.base_size)
        state.frame_number += 1
        state.position, state.size, state.scale = decision.position, decision.size, decision.scale
        self._remember_clear_view(decision, config)
        if decision.state != State.NOT_FOUND:
            self._jitter = None
        area = coordinates[decision.scale_index]
        sample_position, sample_scale = sample_location(area, config.image_sample_size)
        self.located = LocatedFrame(decision, sample_position, float(sample_scale))
        self.score_map = score_map
        top, left, bottom, right = area
        return TrackResult(
            box=box_at(state.position, state.size),
            confidence=decision.confidence,
            state=decision.state,
            search_area=Box(left, top, right - left, bottom - top),
        )

    def postpone(self, iterations: int, remember: bool) -> int:
        """Keep filter steps for the next frame where this one joins the template memory.

        Args:
            iterations: The number of steps that are due in this frame.
            remember: Whether the frame joins the template memory.

        Returns:
            The number of steps to make now.
        """
        if remember and not self.postponed_iterations:
            self.postponed_iterations = iterations
            return 0
        due, self.postponed_iterations = max(iterations, self.postponed_iterations), 0
        return due

    def _remember_clear_view(self, decision: FrameDecision, config: TrackerConfig) -> None:
        """Keep the size of a target that is seen clearly; give it back to one that is lost."""
        state = self.state
        if decision.state == State.NOT_FOUND:
            if config.clear_view_threshold:
                state.size, state.scale = state.clear_size, state.clear_scale
            return
        whole = wholly_seen(decision.confidence, state.usual_confidence, config.occlusion_share)
        if decision.confidence > config.clear_view_threshold and whole:
            state.clear_size, state.clear_scale = state.size, state.scale
        if decision.state != State.UNCERTAIN:
            state.usual_confidence = usual_confidence(state.usual_confidence, decision.confidence)


def learned_box(located: LocatedFrame, sample_size: int) -> Pair:
    """The target's box (4,) in the search area of a located frame, pixels of the network input."""
    decision = located.decision
    return sample_box(
        decision.learn_position, decision.size, located.sample_position, located.sample_scale, sample_size
    )


def filter_iterations(decision: FrameDecision, frame_number: int, config: TrackerConfig) -> int:
    """How many steps the target filter is improved by after a trusted frame."""
    if decision.state == State.HARD_NEGATIVE:
        return config.net_opt_hn_iter
    if decision.confidence < config.low_score_opt_threshold:
        return config.net_opt_low_iter
    if (frame_number - 1) % config.train_skipping == 0:
        return config.net_opt_update_iter
    return 0


def enters_templates(frame_number: int, config: TrackerConfig) -> bool:
    """Whether a trusted frame joins the template memory."""
    skipping = config.transformer_skipping
    return bool(skipping) and (frame_number - 1) % skipping == 0


def moved_state(state: TargetState, motion: Similarity) -> TargetState:
    """Where a target is after a motion of the image."""
    return replace(state, position=moved(state.position, motion))
