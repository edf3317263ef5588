"""Figures of a track against the truth, in the conventions of OTB (Wu et al., TPAMI 2015), LaSOT and GOT-10k."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.tracking import Box
from trdimp_ros.tracking.geometry import intersection_over_union

THRESHOLDS = np.linspace(0.0, 1.0, 21)
"""Overlap thresholds of the success curve."""

MAX_TRUTH_BYTES = 2**27
"""Size of a ground truth file: a million lines."""

MAX_COORDINATE = 1e6
"""Pixels; beyond any image, and small enough for exact arithmetic."""


def overlaps(boxes: Sequence[Box], truth: Sequence[Box | None]) -> list[float]:
    """Intersection over union of every frame whose truth has a target."""
    return [intersection_over_union(box, true) for box, true in zip(boxes, truth, strict=True) if true is not None]


def success_auc(ious: Sequence[float]) -> float:
    """Area under the success curve: the mean, over the thresholds, of the share of frames above them.

    Raises:
        ValueError: for no frames.
    """
    if not ious:
        raise ValueError("the success AUC needs at least one frame with a target")
    return float(success_curve(ious).mean())


def success_curve(ious: Sequence[float]) -> NDArray[np.float64]:
    """Share of frames whose overlap exceeds each of `THRESHOLDS`."""
    values = np.asarray(ious, np.float64)
    return (values[None, :] > THRESHOLDS[:, None]).mean(axis=1)


def center_errors(boxes: Sequence[Box], truth: Sequence[Box | None], normalized: bool = False) -> list[float]:
    """Distance of the centres in every frame whose truth has a target.

    Args:
        boxes: The tracker's box of every frame.
        truth: The true box of every frame, None where there is no target.
        normalized: Whether distances are in units of the true width and height (LaSOT) instead of pixels.
    """
    errors = []
    for box, true in zip(boxes, truth, strict=True):
        if true is not None:
            dx = box.x + box.w / 2 - true.x - true.w / 2
            dy = box.y + box.h / 2 - true.y - true.h / 2
            errors.append(math.hypot(dx / true.w, dy / true.h) if normalized else math.hypot(dx, dy))
    return errors


def precision_curve(errors: Sequence[float], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of frames whose centre error is at most each of the thresholds."""
    values = np.asarray(errors, np.float64)
    return (values[None, :] <= thresholds[:, None]).mean(axis=1)


def roc_curve(
    present: Sequence[float], absent: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How well the confidence tells frames with the target from frames without.

    Args:
        present: Confidences of frames with the target.
        absent: Confidences of frames without it.

    Returns:
        Thresholds, falling; and at each the share of absent frames and of present frames at or above it.
    """
    thresholds = np.unique(np.concatenate([np.asarray(present, float), np.asarray(absent, float), [np.inf]]))[::-1]
    shares = [(np.asarray(values, float)[None, :] >= thresholds[:, None]).mean(axis=1) for values in (absent, present)]
    return thresholds, shares[0], shares[1]


def separation(present: Sequence[float], absent: Sequence[float]) -> float:
    """Area under the ROC curve: how often a frame with the target has the higher confidence; nan if one is empty."""
    if not len(present) or not len(absent):
        return float("nan")
    high, low = np.asarray(present, float)[:, None], np.asarray(absent, float)[None, :]
    return float(np.mean(high > low) + 0.5 * np.mean(high == low))


def read_boxes(path: Path) -> list[Box | None]:
    """Read a ground truth file: one x,y,w,h per line, separated by commas, tabs or spaces.

    Args:
        path: The file. A line of nan, or with a width or height of 0 or less, says that there is no target (LaSOT
            writes 0,0,0,0).

    Returns:
        The box of every line, None where there is no target.

    Raises:
        ValueError: naming the file and the line that is no box; for a file without any box, or too large to be one.
    """
    if not path.is_file():
        raise ValueError(f"no such ground truth file: {path}")
    if path.stat().st_size > MAX_TRUTH_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are more than a ground truth file has")
    boxes: list[Box | None] = []
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), start=1):
        if line.strip():
            try:
                boxes.append(_parsed_box(line))
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: not a box x,y,w,h: {line[:80]!r}") from error
    if not any(boxes):
        raise ValueError(f"{path} holds no box of a target; wanted is one x,y,w,h per line")
    return boxes


def _parsed_box(line: str) -> Box | None:
    x, y, w, h = (float(value) for value in line.replace(",", " ").split())
    if any(math.isnan(value) for value in (x, y, w, h)):
        return None
    if not all(abs(value) <= MAX_COORDINATE for value in (x, y, w, h)):
        raise ValueError("beyond any image")
    return Box(x, y, w, h) if w > 0 and h > 0 else None
