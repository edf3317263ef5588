"""Long-term tracking: precision, recall and F where the target is absent for a while, and finding it again.

The measures are those of Lukezic et al., "Now you see me: evaluating performance in long-term visual tracking" (2018,
section 3), which the VOT long-term challenge uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""(N,) float64, one value for each threshold."""


@dataclass(frozen=True)
class LongTermTrack:
    """What the long-term measures need of one sequence; all three have one entry a frame.

    Attributes:
        overlaps: Intersection over union of the tracker's box with the truth, 0 where there is no target.
        confidences: How sure the tracker is; -inf where it says that it sees nothing.
        present: Whether there is a target.
    """

    overlaps: Sequence[float]
    confidences: Sequence[float]
    present: Sequence[bool]

    def __post_init__(self) -> None:
        lengths = {len(self.overlaps), len(self.confidences), len(self.present)}
        if lengths == {0} or len(lengths) > 1:
            raise ValueError(f"a track needs as many overlaps as confidences and flags, at least one; got {lengths}")


@dataclass(frozen=True)
class LongTermScore:
    """The point of a precision-recall curve at which F is greatest.

    Attributes:
        precision: Mean overlap of the frames in which the tracker says that it sees the target.
        recall: Mean overlap of the frames in which there is a target, 0 where the tracker says nothing.
        f: Harmonic mean of the two.
        threshold: Confidence from which the tracker is believed there.
    """

    precision: float
    recall: float
    f: float
    threshold: float


def precision_recall(track: LongTermTrack, thresholds: Curve) -> tuple[Curve, Curve]:
    """Tracking precision and recall of one sequence (equations 1 and 2 of the paper).

    Args:
        track: The sequence.
        thresholds: Confidences from which the tracker is believed.

    Returns:
        Precision and recall at each threshold. Precision is 1 where nothing is predicted, as in the VOT toolkit; recall
        is 0 for a sequence without a target.
    """
    order = np.argsort(np.asarray(track.confidences, np.float64))
    ascending = np.asarray(track.confidences, np.float64)[order]
    overlaps = np.asarray(track.overlaps, np.float64)[order]
    below = np.searchsorted(ascending, thresholds, side="left")
    sums = np.concatenate([np.cumsum(overlaps[::-1])[::-1], [0.0]])[below]
    predicted = len(ascending) - below
    precision = np.where(predicted > 0, sums / np.maximum(predicted, 1), 1.0)
    return precision, sums / max(sum(track.present), 1)


def f_measure(precision: Curve, recall: Curve) -> Curve:
    """Harmonic mean (equation 3), 0 where both are 0."""
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1.0), 0.0)


def precision_recall_curve(tracks: Sequence[LongTermTrack]) -> tuple[Curve, Curve, Curve]:
    """Precision and recall, averaged over sequences at common thresholds.

    Args:
        tracks: The sequences, at least one.

    Returns:
        The thresholds, rising: every confidence that occurs; and precision and recall at each.
    """
    confidences = np.unique(np.concatenate([np.asarray(track.confidences, np.float64) for track in tracks]))
    thresholds = confidences[np.isfinite(confidences)]
    if not len(thresholds):
        thresholds = np.zeros(1)
    curves = [precision_recall(track, thresholds) for track in tracks]
    return thresholds, np.mean([one for one, _ in curves], axis=0), np.mean([one for _, one in curves], axis=0)


def long_term_score(tracks: Sequence[LongTermTrack]) -> LongTermScore:
    """The greatest F over all thresholds, and precision and recall there.

    Args:
        tracks: The sequences, at least one.
    """
    thresholds, precision, recall = precision_recall_curve(tracks)
    f = f_measure(precision, recall)
    best = int(np.argmax(f))
    return LongTermScore(float(precision[best]), float(recall[best]), float(f[best]), float(thresholds[best]))


def recoveries(ious: Sequence[float | None], found: float = 0.5) -> list[int | None]:
    """How long after each return the target is found again.

    Args:
        ious: Overlap of each frame, None where there is no target.
        found: Overlap that counts.

    Returns:
        For every return after an absence, the number of frames until it is found, at least 1; None where it is not
        found before it leaves again or the sequence ends.
    """
    delays: list[int | None] = []
    waited: int | None = None
    for before, now in pairwise(ious):
        if before is None and now is not None:
            delays.append(None)
            waited = 0
        if now is None:
            waited = None
        elif waited is not None:
            waited += 1
            if now >= found:
                delays[-1] = waited
                waited = None
    return delays
