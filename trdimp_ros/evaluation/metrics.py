"""Overlap of a track with the truth, in the conventions of the OTB benchmark (Wu et al., TPAMI 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trdimp_ros.tracking import Box
from trdimp_ros.tracking.geometry import intersection_over_union

THRESHOLDS = np.linspace(0.0, 1.0, 21)
"""Overlap thresholds of the success curve."""


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
    values = np.asarray(ious)
    return float(np.mean([(values > threshold).mean() for threshold in THRESHOLDS]))


def read_boxes(path: Path) -> list[Box | None]:
    """A ground truth file: one x,y,w,h per line, separated by commas, tabs or spaces; nan where there is no target.

    Raises:
        ValueError: naming the file and the line that is no box.
    """
    if not path.is_file():
        raise ValueError(f"no such ground truth file: {path}")
    boxes: list[Box | None] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            x, y, w, h = (float(value) for value in line.replace(",", " ").split())
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not a box x,y,w,h: {line[:80]!r}") from error
        boxes.append(None if any(math.isnan(value) for value in (x, y, w, h)) else Box(x, y, w, h))
    return boxes
