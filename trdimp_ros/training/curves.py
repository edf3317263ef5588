"""A training run as a picture: every part of the loss, smoothed, and the learning rate; needs matplotlib."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.evaluation.figures import new_figure, write_figure

SMOOTHING = 0.02
"""A curve is averaged over this share of the steps."""

NOT_LOSSES = ("step", "total", "seconds", "learning_rate")


def write_curves(log: Path, picture: Path) -> None:
    """Draw what ``trdimp train`` has written to its ``log.csv``.

    Args:
        log: The log, with a line for each step.
        picture: The PNG file to write.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    columns = read_log(log)
    if not columns or not len(columns["step"]):
        return
    parts = [name for name in columns if name not in NOT_LOSSES]
    figure = new_figure(11, 6)
    grid = figure.subplots(2, -(-(len(parts) + 2) // 2), squeeze=False)
    for axes, name in zip(grid.flat, ["total", *parts, "learning_rate"], strict=False):
        values = columns[name] if name == "learning_rate" else smoothed(columns[name])
        axes.plot(columns["step"], values, linewidth=1)
        axes.set(title=name.replace("_", " "), xlabel="step")
        axes.grid(alpha=0.3)
    write_figure(figure, picture)


def read_log(log: Path) -> dict[str, NDArray[np.float64]]:
    """The columns of a log by their names."""
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in (rows[0] if rows else ())}


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each value and its neighbours, of as many on both sides; at the ends of fewer."""
    reach = round(SMOOTHING * len(values) / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    near = np.minimum(np.minimum(index, len(values) - 1 - index), reach)
    return np.asarray((sums[index + near + 1] - sums[index - near]) / (2 * near + 1))
