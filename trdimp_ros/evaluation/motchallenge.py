"""The text format of MOTChallenge (Milan et al., "MOT16", 2016, section 3.3): boxes with ids, one line each.

A line is ``frame,id,left,top,width,height,confidence,-1,-1,-1``. Frames and pixels are counted from 1
there, from 0 here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from trdimp_ros.evaluation.metrics import MAX_COORDINATE, MAX_TRUTH_BYTES
from trdimp_ros.media.files import complete_file
from trdimp_ros.tracking import Box

MAX_NUMBER = 10_000_000
"""The greatest frame number and id that are read."""


class LabelledBox(NamedTuple):
    """One line.

    Attributes:
        frame: The frame's number, from 0.
        id: The target's id, from 1.
        box: The target's box in pixels, from 0.
        confidence: How sure the tracker is; in ground truth 1, or 0 for a box that does not count.
    """

    frame: int
    id: int
    box: Box
    confidence: float = 1.0


def line_of(row: LabelledBox) -> str:
    """The line of a box, without its end.

    Raises:
        ValueError: for an id below 1 or a frame below 0.
    """
    if row.id < 1 or row.frame < 0:
        raise ValueError(f"MOTChallenge has ids from 1 and frames from 0 (here), got id {row.id}, frame {row.frame}")
    x, y, w, h = row.box
    return f"{row.frame + 1},{row.id},{x + 1:.2f},{y + 1:.2f},{w:.2f},{h:.2f},{row.confidence:.5f},-1,-1,-1"


def write_mot(path: Path, rows: Iterable[LabelledBox]) -> None:
    """Write a file, ordered by frame and id as the benchmark's tools expect.

    Raises:
        ValueError: for an id below 1 or a frame below 0.
        OSError: if the file cannot be written.
    """
    lines = [line_of(row) for row in sorted(rows, key=lambda row: (row.frame, row.id))]
    with complete_file(path) as file:
        file.write_text("".join(f"{line}\n" for line in lines))


def read_mot(path: Path) -> list[LabelledBox]:
    """Read a file of results or ground truth.

    Returns:
        The boxes in the file's order; columns after the seventh are left out.

    Raises:
        ValueError: naming the file and the line that is wrong.
    """
    if not path.is_file():
        raise ValueError(f"no such MOTChallenge file: {path}")
    if path.stat().st_size > MAX_TRUTH_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are more than a MOTChallenge file has")
    rows: list[LabelledBox] = []
    seen: set[tuple[int, int]] = set()
    for number, line in enumerate(path.read_text("utf-8-sig", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = _parsed(line)
        except ValueError as error:
            wanted = "frame,id,left,top,width,height,confidence"
            raise ValueError(f"{path}, line {number}: not {wanted} ({error}): {line[:80]!r}") from error
        if (row.frame, row.id) in seen:
            raise ValueError(f"{path}, line {number}: id {row.id} is twice in frame {row.frame + 1}")
        seen.add((row.frame, row.id))
        rows.append(row)
    return rows


def tracks_by_id(rows: Iterable[LabelledBox]) -> dict[int, dict[int, Box]]:
    """The boxes of each id by frame; those with confidence 0 do not count and are left out."""
    tracks: dict[int, dict[int, Box]] = defaultdict(dict)
    for row in rows:
        if row.confidence != 0:
            tracks[row.id][row.frame] = row.box
    return dict(tracks)


def _parsed(line: str) -> LabelledBox:
    values = [float(value) for value in line.replace(",", " ").split()[:7]]
    if len(values) < 6:
        raise ValueError(f"{len(values)} numbers")
    if not all(math.isfinite(value) and abs(value) <= MAX_NUMBER for value in values):
        raise ValueError("a number that is none, or too large")
    frame, target, x, y, w, h = values[:6]
    if frame != int(frame) or target != int(target) or frame < 1 or target < 1:
        raise ValueError("frame and id must be whole numbers from 1")
    if max(abs(x), abs(y), w, h) > MAX_COORDINATE or w <= 0 or h <= 0:
        raise ValueError("no box in an image")
    confidence = values[6] if len(values) == 7 else 1.0
    return LabelledBox(int(frame) - 1, int(target), Box(x - 1, y - 1, w, h), confidence)
