"""What a detector sees, and what of it concerns which target.

A detector's boxes are candidates: each may be a target that is tracked, a target that was lost, or something new. Which
is decided for all of them together, by overlap with what is tracked and by what the lost targets' filters say of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trdimp_ros.parameters import check_parameters, parameter
from trdimp_ros.sessions.requests import DEFAULT_LABEL
from trdimp_ros.tracking import Box
from trdimp_ros.tracking.assignment import assign
from trdimp_ros.tracking.geometry import intersection_over_union

AutoInit = Literal["off", "idle", "all", "lost"]

MOST_CANDIDATES = 100
"""Of more candidates in one image those with the highest scores count."""
SAME_OBJECT = 0.7
"""Candidates that overlap more than this (intersection over union) are one object; the higher score counts."""
MOST_QUESTIONS = 16
"""A lost target's filter is asked about a candidate at most so many times for each image of the detector."""
DOUBTFUL = 0.6
"""A candidate whose likeness to a lost target is above this, and below 1, is neither that target nor a new one."""


@dataclass(frozen=True)
class Candidate:
    """Something that a detector has seen.

    Attributes:
        box: The object's box in image pixels.
        label: The class that the detector gives it.
        score: How sure the detector is, 0 to 1.
    """

    box: Box
    label: str = DEFAULT_LABEL
    score: float = 1.0


@dataclass(frozen=True)
class HandOffSettings:
    """What is done with a detector's candidates.

    Raises:
        ValueError: at construction, for a value outside its range, naming field, value and range.
    """

    auto_init: AutoInit = parameter(
        "off",
        "What candidates are used for: off, lost (to find lost targets again), idle (that, and to start one target "
        "while there is none), or all (that, and to start a target for every candidate that is not tracked yet).",
    )
    classes: str = parameter("", "The classes of the candidates that count, separated by commas; empty: every class.")
    min_score: float = parameter(
        0.5, "Candidates with a lower score do not count; raising it starts fewer targets.", 0.0, 1.0
    )
    overlap: float = parameter(
        0.3,
        "A candidate that overlaps a tracked target at least this much (intersection over union) is that target.",
        0.05,
        1.0,
    )
    size_weight: float = parameter(
        0.0,
        "Share by which the size of a tracked target follows that of its candidate's box; 0 leaves it alone.",
        0.0,
        1.0,
    )

    def __post_init__(self) -> None:
        check_parameters(self)

    @property
    def wanted_classes(self) -> frozenset[str]:
        """The classes that count; empty: every class."""
        return frozenset(name.strip() for name in self.classes.split(",") if name.strip())


@dataclass(frozen=True)
class KnownTarget:
    """A target, as it was in the image that the candidates were seen in.

    Attributes:
        id: The target's id.
        label: The target's class label.
        box: Where it was, or was seen last.
        lost: Whether it is lost.
    """

    id: str
    label: str
    box: Box
    lost: bool


@dataclass(frozen=True)
class HandOff:
    """What the candidates of one image are.

    Attributes:
        tracked: The ids of tracked targets with the candidates that are the same objects.
        rescued: The ids of lost targets with the candidates that are them again.
        new: Candidates for new targets, the best first.
    """

    tracked: tuple[tuple[str, Candidate], ...] = ()
    rescued: tuple[tuple[str, Candidate], ...] = ()
    new: tuple[Candidate, ...] = ()


Likeness = Callable[[Sequence[tuple[str, Box]]], list[float]]
"""How much, of a list of pairs of a lost target's id and a box, each box looks like its target to the target's filter:
at least 1 where it may be the target again, 0 where not at all."""


def sensible(candidates: Sequence[Candidate], settings: HandOffSettings) -> list[Candidate]:
    """The candidates that count, the best first, each object once."""
    classes = settings.wanted_classes
    fitting = [
        candidate
        for candidate in candidates
        if all(math.isfinite(value) for value in (*candidate.box, candidate.score))
        and min(candidate.box.w, candidate.box.h) > 0
        and candidate.score >= settings.min_score
        and (not classes or candidate.label in classes)
    ]
    fitting.sort(key=lambda candidate: -candidate.score)
    kept: list[Candidate] = []
    for candidate in fitting[:MOST_CANDIDATES]:
        if all(intersection_over_union(candidate.box, other.box) <= SAME_OBJECT for other in kept):
            kept.append(candidate)
    return kept


def hand_off(
    candidates: Sequence[Candidate],
    targets: Sequence[KnownTarget],
    settings: HandOffSettings,
    likeness: Likeness,
    room: int,
) -> HandOff:
    """Decide what a detector's candidates are.

    Args:
        candidates: What the detector has seen in one image.
        targets: All targets, as they were in that image.
        settings: What candidates are used for.
        likeness: Asks the filters of lost targets.
        room: The number of targets that can be started.
    """
    if settings.auto_init == "off":
        return HandOff()
    kept = sensible(candidates, settings)
    table = np.zeros((len(targets), len(kept)))
    for row, target in enumerate(targets):
        if not target.lost:
            overlaps = [intersection_over_union(target.box, candidate.box) for candidate in kept]
            # Worth more than any likeness: what is seen is surer than what may be.
            table[row] = [1 + overlap if overlap >= settings.overlap else 0.0 for overlap in overlaps]
    # What overlaps a tracked target is not asked about, nor is it ever something new.
    free = [not (table[:, column] > 0).any() for column in range(len(kept))]
    doubtful = _ask_lost(table, kept, targets, free, likeness)
    pairs = assign(table)
    matched = {column for _, column in pairs}
    by_kind: dict[bool, list[tuple[str, Candidate]]] = {False: [], True: []}
    for row, column in pairs:
        by_kind[targets[row].lost].append((targets[row].id, kept[column]))
    new = [
        candidate
        for column, candidate in enumerate(kept)
        if column not in matched and free[column] and column not in doubtful
    ]
    wanted = {"all": room, "idle": min(room, 1) if not targets else 0, "lost": 0}[settings.auto_init]
    return HandOff(tuple(by_kind[False]), tuple(by_kind[True]), tuple(new[:wanted]))


def _ask_lost(
    table: np.ndarray,
    candidates: Sequence[Candidate],
    targets: Sequence[KnownTarget],
    free: Sequence[bool],
    likeness: Likeness,
) -> set[int]:
    """Fill in the rows of the lost targets; returns the candidates that may be lost targets, but not surely."""
    questions = [
        (row, column)
        for column, candidate in enumerate(candidates)  # the best first
        for row, target in enumerate(targets)
        if target.lost and free[column] and _may_be(target.label, candidate.label)
    ][:MOST_QUESTIONS]
    answers = likeness([(targets[row].id, candidates[column].box) for row, column in questions]) if questions else []
    doubtful = set()
    for (row, column), answer in zip(questions, answers, strict=True):
        if answer >= 1:
            table[row, column] = min(answer, 2.0) / 2
        elif answer >= DOUBTFUL:
            doubtful.add(column)
    return doubtful


def _may_be(target_label: str, label: str) -> bool:
    """Whether a target of one class may be a candidate of another: one without a class may be anything."""
    return target_label == label or DEFAULT_LABEL in (target_label, label)
