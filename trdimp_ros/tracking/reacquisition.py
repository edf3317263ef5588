"""Whether a target is seen, lost, or perhaps found again: the rules, on the host and without images.

A target that was not seen clearly for some images is lost. What may be the target again counts only after
verification: a score above a threshold of its own, clear of the second best, a box of believable size, and all that in
several images in a row. Until then the target's state is uncertain and nothing is learned. The same holds while what is
tracked does not look like the target and has left its place: something may have passed before it and taken the tracker
along.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from trdimp_ros.tracking.appearance import demanded
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Pair
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.whereabouts import Phase, Whereabouts

LARGEST_CHANGE = 2.5
"""A target that returns is believed to be at most this many times as long, or as short, as it was seen last."""
LARGEST_STRETCH = 3.0
"""Likewise for the ratio of its width and height."""
HOLD = 0.7
"""On probation a confidence below this share of the threshold ends it; between the two it goes on."""
LONGEST_PROBATION = 3
"""Probation ends after so many times `reacquire_confirmations` images."""

AT_EDGE = 0.6
"""A target whose middle is nearer to the image's edge than this share of its size was about to leave the image."""
JUMP = 1.0
"""And if then something is found farther away than this many of its sizes, it has to be good enough to be the target
come back."""

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
    whereabouts.images += 1
    now, looks = whereabouts.returns.now, config.reacquire_looks
    accepted = looks if now is None else now.accepted(looks)
    sure = result.confidence >= whereabouts.threshold(config) * demanded(evidence.unlikeness, accepted)
    if whereabouts.phase is Phase.SEEN:
        return _judge_seen(whereabouts, result, evidence, sure, config)
    whereabouts.images_unclear += 1
    if whereabouts.phase is Phase.LOST:
        return _judge_lost(whereabouts, result, evidence, sure, config)
    return _judge_returning(whereabouts, result, evidence, sure, config)


def _judge_seen(
    whereabouts: Whereabouts, result: TrackResult, evidence: Evidence, sure: bool, config: TrackerConfig
) -> State:
    state = evidence.state
    if _is_other(whereabouts, evidence.unlikeness, config.reacquire_looks):
        whereabouts.refuse(state.position)
        return State.NOT_FOUND
    if config.reacquire_budget and config.reacquire_looks:
        whereabouts.look(state, evidence.unlikeness)
    else:  # nobody would look for it elsewhere
        whereabouts.forget_doubt()
    weak = result.found and not sure and whereabouts.can_be_lost(config)
    if weak and has_left(whereabouts, state.position, evidence.image_size):
        result = dataclasses.replace(result, state=State.NOT_FOUND)
        whereabouts.lose()
    trusted = result.state in TRUSTED
    if not trusted:
        whereabouts.miss(config, result.found)
    elif whereabouts.strange:
        whereabouts.follow_in_doubt()
    else:
        whereabouts.trust(state)
    return State.UNCERTAIN if trusted and whereabouts.astray else result.state


def _judge_lost(
    whereabouts: Whereabouts, result: TrackResult, evidence: Evidence, sure: bool, config: TrackerConfig
) -> State:
    credible = _credible(whereabouts, result, evidence.state, config)
    if sure and credible and result.state is State.NORMAL:
        whereabouts.begin_probation(evidence.state.position)
        return _confirm(whereabouts, result, evidence.state, config)
    return State.UNCERTAIN if credible else State.NOT_FOUND


def _judge_returning(
    whereabouts: Whereabouts, result: TrackResult, evidence: Evidence, sure: bool, config: TrackerConfig
) -> State:
    whereabouts.on_probation += 1
    looks_wrong = not sure and result.confidence >= whereabouts.threshold(config)
    looks_wrong = looks_wrong or _is_other(whereabouts, evidence.unlikeness, config.reacquire_looks)
    too_long = whereabouts.on_probation > LONGEST_PROBATION * config.reacquire_confirmations
    if looks_wrong or too_long or not _credible(whereabouts, result, evidence.state, config):
        whereabouts.refuse(evidence.state.position)
        return State.NOT_FOUND
    if sure and result.state in TRUSTED:
        return _confirm(whereabouts, result, evidence.state, config)
    return State.UNCERTAIN


def _credible(whereabouts: Whereabouts, result: TrackResult, state: TargetState, config: TrackerConfig) -> bool:
    """Whether something is there that may be the target by its size, at not much less than the score asked for."""
    enough = result.found and result.confidence >= HOLD * whereabouts.threshold(config)
    return enough and believable_size(state.size, whereabouts.clear_size)


def _is_other(whereabouts: Whereabouts, unlikeness: float | None, looks: float) -> bool:
    """Whether a return turns out to be something else; one that is seen is accepted after enough images."""
    now = whereabouts.returns.now
    if looks <= 0 and whereabouts.phase is Phase.SEEN:  # nobody looks any more
        whereabouts.returns.accept()
    if now is None or unlikeness is None:
        return False
    other = now.is_other(unlikeness, looks)
    if not other and whereabouts.phase is Phase.SEEN and not now.on_trial:
        whereabouts.returns.accept()
    return other


def _confirm(whereabouts: Whereabouts, result: TrackResult, state: TargetState, config: TrackerConfig) -> State:
    whereabouts.confirmed += 1
    if whereabouts.confirmed < config.reacquire_confirmations:
        return State.UNCERTAIN
    whereabouts.trust(state)
    return result.state
