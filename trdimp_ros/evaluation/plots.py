"""Success, precision and ROC curves as PNG files; needs matplotlib (extra ``eval``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trdimp_ros.evaluation.metrics import (
    THRESHOLDS,
    center_errors,
    overlaps,
    precision_curve,
    roc_curve,
    separation,
    success_curve,
)
from trdimp_ros.evaluation.runner import SequenceRun

PRECISION_THRESHOLDS = np.linspace(0.0, 50.0, 51)


def write_plots(folder: Path, runs: dict[str, Sequence[SequenceRun]]) -> list[Path]:
    """Draw the curves, averaged over the sequences.

    Args:
        folder: For the files.
        runs: All sequences of each tracker.

    Returns:
        The files: success.png, precision.png and, where there are absent frames, roc.png.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("plots need matplotlib: pip install 'trdimp_ros[eval]'") from error

    def draw(name: str, horizontal: str, vertical: str, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
        figure = Figure(figsize=(6, 4.5), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        for label, (x, y) in curves.items():
            axes.plot(x, y, label=label)
        axes.set(xlabel=horizontal, ylabel=vertical, ylim=(0, 1.02))
        axes.grid(alpha=0.3)
        axes.legend()
        path = folder / f"{name}.png"
        figure.savefig(path)
        return path

    success, precision, roc = {}, {}, {}
    for tracker, tracked in runs.items():
        curve = np.mean([success_curve(overlaps(run.boxes, run.truth)) for run in tracked], axis=0)
        success[f"{tracker} [{curve.mean():.3f}]"] = (THRESHOLDS, curve)
        errors = [center_errors(run.boxes, run.truth) for run in tracked]
        curve = np.mean([precision_curve(one, PRECISION_THRESHOLDS) for one in errors], axis=0)
        precision[f"{tracker} [{curve[20]:.3f}]"] = (PRECISION_THRESHOLDS, curve)
        present = [value for run in tracked for value in run.confidences(present=True)]
        absent = [value for run in tracked for value in run.confidences(present=False)]
        if present and absent:
            _, false_share, true_share = roc_curve(present, absent)
            roc[f"{tracker} [{separation(present, absent):.3f}]"] = (false_share, true_share)
    files = [
        draw("success", "overlap threshold", "share of frames", success),
        draw("precision", "centre error, pixels", "share of frames", precision),
    ]
    if roc:
        files.append(draw("roc", "absent frames above the threshold", "present frames above it", roc))
    return files
