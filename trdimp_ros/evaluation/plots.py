"""The curves of all trackers in one picture; needs matplotlib (extra ``eval``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.evaluation.figures import new_figure, write_figure
from trdimp_ros.evaluation.longterm import f_measure, precision_recall_curve
from trdimp_ros.evaluation.metrics import (
    THRESHOLDS,
    center_errors,
    overlaps,
    precision_curve,
    roc_curve,
    separation,
    success_curve,
)
from trdimp_ros.evaluation.runner import PIXELS, SequenceRun

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PRECISION_THRESHOLDS = np.linspace(0.0, 50.0, 51)

Runs = Sequence[SequenceRun]


class Drawn(NamedTuple):
    """A curve.

    Attributes:
        x: Horizontal values.
        y: Vertical values.
        figure: What sums it up; it stands in the legend.
        marked: Index of the point to which the figure belongs, where it is one point.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    figure: float
    marked: int | None = None


def write_plots(path: Path, runs: Mapping[str, Runs]) -> None:
    """Draw success and precision and, where targets are absent, long-term precision and recall and the ROC curve.

    Args:
        path: The PNG file to write.
        runs: All sequences of each tracker.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    panels: list[tuple[str, str, str, Callable[[Runs], Drawn | None]]] = [
        ("success [AUC]", "overlap threshold", "share of frames", _success),
        ("precision [at 20 pixels]", "centre error, pixels", "share of frames", _precision),
    ]
    if any(run.has_absences for tracked in runs.values() for run in tracked):
        panels += [
            ("long-term [F]", "tracking recall", "tracking precision", _long_term),
            ("confidence [area]", "absent frames above the threshold", "present frames above it", _roc),
        ]
    figure = new_figure(11, 4.5 * len(panels) / 2)
    for number, (title, horizontal, vertical, curve) in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels) // 2, 2, number)
        right = 50 if curve is _precision else 1.02
        axes.set(title=title, xlabel=horizontal, ylabel=vertical, xlim=(0, right), ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        _draw(axes, runs, curve)
    write_figure(figure, path)


def _draw(axes: Axes, runs: Mapping[str, Runs], curve: Callable[[Runs], Drawn | None]) -> None:
    for number, (tracker, tracked) in enumerate(runs.items()):
        drawn = curve(tracked)
        if drawn is not None:
            marked = [] if drawn.marked is None else [drawn.marked]
            label = f"{tracker} [{drawn.figure:.3f}]"
            axes.plot(drawn.x, drawn.y, label=label, color=f"C{number}", marker="o", markevery=marked)
    if axes.lines:
        axes.legend()


def _success(runs: Runs) -> Drawn:
    curve = np.mean([success_curve(overlaps(run.boxes, run.truth)) for run in runs], axis=0)
    return Drawn(THRESHOLDS, curve, float(curve.mean()))


def _precision(runs: Runs) -> Drawn:
    errors = [center_errors(run.boxes, run.truth) for run in runs]
    curve = np.mean([precision_curve(one, PRECISION_THRESHOLDS) for one in errors], axis=0)
    return Drawn(PRECISION_THRESHOLDS, curve, float(curve[int(PIXELS)]))


def _long_term(runs: Runs) -> Drawn | None:
    tracks = [run.long_term() for run in runs if run.has_absences]
    if not tracks:
        return None
    _, precision, recall = precision_recall_curve(tracks)
    f = f_measure(precision, recall)
    # Of a tracker without confidence the curve is this one point.
    return Drawn(recall, precision, float(f.max()), int(f.argmax()))


def _roc(runs: Runs) -> Drawn | None:
    present = [value for run in runs for value in run.confidences(present=True)]
    absent = [value for run in runs for value in run.confidences(present=False)]
    if not present or not absent:
        return None
    _, false_share, true_share = roc_curve(present, absent)
    return Drawn(false_share, true_share, separation(present, absent))
