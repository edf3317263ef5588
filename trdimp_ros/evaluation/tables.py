"""The figures of all trackers side by side, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "auc": "AUC",
    "precision": "prec20",
    "normalized_precision": "nprec",
    "average_overlap": "AO",
    "success_rate_50": "SR.50",
    "success_rate_75": "SR.75",
    "absent_not_normal": "lost ok",
    "present_not_found": "false lost",
    "long_term_precision": "LT-Pr",
    "long_term_recall": "LT-Re",
    "long_term_f": "LT-F",
    "found_again": "found again",
    "frames_to_recover": "recover",
    "fps": "fps",
}
"""Figures of a tracker: name in the JSON file, and heading."""

SEQUENCE_COLUMNS = {"auc": "AUC", "success_rate_75": "SR.75", "long_term_f": "LT-F"}
"""Figures of each sequence."""

ONE_DIGIT = ("fps", "frames_to_recover")


def figures_table(report: Mapping[str, Any]) -> str:
    """One row for each tracker, and one for each of its roots where there are several.

    Args:
        report: Each tracker's figures, under ``mean`` and for each root under ``roots``.
    """
    rows = []
    for tracker, result in report.items():
        roots = result["roots"] if len(result["roots"]) > 1 else {}
        for name, row in [(tracker, result["mean"]), *((f"  {root}", row) for root, row in roots.items())]:
            rows.append([name, *(_cell(key, row[key]) for key in COLUMNS)])
    return _aligned(["mean", *COLUMNS.values()], rows)


def sequences_table(report: Mapping[str, Any]) -> str:
    """One row for each sequence, the trackers side by side; the long-term figure only where a target is absent."""
    trackers = list(report)
    first = report[trackers[0]]["sequences"]
    columns = [key for key in SEQUENCE_COLUMNS if any(row[key] is not None for row in first.values())]
    heading = ["sequence", "frames", "absent"]
    heading += [f"{tracker} {SEQUENCE_COLUMNS[key]}" for key in columns for tracker in trackers]
    rows = []
    for name, row in first.items():
        figures = [
            _cell(key, report[tracker]["sequences"].get(name, {}).get(key)) for key in columns for tracker in trackers
        ]
        rows.append([name, f"{row['frames']:.0f}", f"{row['absent_frames']:.0f}", *figures])
    return _aligned(heading, rows)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if name in ONE_DIGIT else f"{value:.3f}"


def _aligned(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their contents; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heading, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in (heading, *rows))
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"
