"""Track one or several targets through a video file or a folder of images."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_session, parse_box
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.cli.terminal import Interrupted, printable
from trdimp_ros.cli.track_outputs import Output, TrackedFrame, open_outputs
from trdimp_ros.cli.window import check_display
from trdimp_ros.evaluation.metrics import overlaps, read_boxes, success_auc
from trdimp_ros.media.sources import FrameSource, ImageFolder, open_source
from trdimp_ros.sessions import InitRequest, TrackingSession
from trdimp_ros.tracking import Box, State, TrackResult
from trdimp_ros.tracking.geometry import check_image, check_init_box

MAX_TARGETS = 32
"""Targets at once."""

Timed = tuple[TrackResult, float]
"""A result, and the milliseconds of its frame."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="VIDEO_OR_FOLDER", help="video file, or folder of images (OTB layout too)")
    parser.add_argument(
        "--init",
        type=parse_box,
        action="append",
        metavar="x,y,w,h",
        help="box in the first frame, pixels; given again, each is a target of its own, with ids from 1",
    )
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="true boxes, one x,y,w,h per line: scored, and the first is --init"
    )
    add_tracker_arguments(parser)
    parser.add_argument("--save", type=Path, metavar="OUT.mp4", help="write the video with the results drawn in")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one line per frame and target")
    parser.add_argument("--mot", type=Path, metavar="FILE", help="write the found boxes in MOTChallenge's text format")
    parser.add_argument("--show", action="store_true", help="show the video in a window")


def run(options: argparse.Namespace) -> dict[str, Any]:
    source = open_source(options.source)
    files = source.files if isinstance(source, ImageFolder) else [Path(options.source)]
    written = {"--save": options.save, "--csv": options.csv, "--mot": options.mot, "--json": options.json}
    check_outputs(written, [*files, options.truth, options.weights])
    truth = read_boxes(options.truth) if options.truth else None
    boxes = _initial_boxes(options, truth)
    # Refuse what cannot work before loading a network takes its time.
    first = next(iter(source), None)
    if first is None:
        raise ValueError(f"{options.source} holds no frame that can be read")
    for box in boxes:
        check_init_box(box, check_image(first).shape[:2])
    if options.show:
        check_display()
    with contextlib.ExitStack() as stack:
        outputs = open_outputs(options, source, truth, stack)
        session, weights = build_session(options, len(boxes))
        tracks, interrupted = _track_all(session, source, boxes, outputs)
        report = _report(tracks) | {"weights": weights.name, "preset": options.preset}
        if truth is not None:
            report |= score([result.box for result, _ in tracks["1"]], truth)
        if interrupted:  # the outputs have to know: what is there of them is kept, also where that is nothing yet
            _print(report)
            raise Interrupted(report)
    _print(report)
    return report


def _initial_boxes(options: argparse.Namespace, truth: list[Box | None] | None) -> list[Box]:
    boxes = options.init or [box for box in (truth or [])[:1] if box is not None]
    if not boxes:
        raise ValueError("no box to start from: give --init x,y,w,h, or --truth with a box in its first line")
    if len(boxes) > MAX_TARGETS:
        raise ValueError(f"--init may be given {MAX_TARGETS} times, got {len(boxes)}")
    if truth is not None and len(boxes) > 1:
        raise ValueError(f"--truth scores one target, got {len(boxes)} --init; leave one of them out")
    return list(boxes)


def _track_all(
    session: TrackingSession, source: FrameSource, boxes: Sequence[Box], outputs: list[Output]
) -> tuple[dict[str, list[Timed]], bool]:
    """Track to the end, or until an output has enough or the user interrupts.

    Returns:
        The results of every target by its id, and whether it was interrupted.
    """
    tracks: dict[str, list[Timed]] = {str(number): [] for number in range(1, len(boxes) + 1)}
    frames = tqdm(track_frames(session, source, boxes), total=len(source) or None, unit="frame", disable=None)
    try:
        for index, one in enumerate(frames):
            for name, result in one.results.items():
                tracks[name].append((result, one.milliseconds))
            if not all(output(index, one) for output in outputs):
                break
    except KeyboardInterrupt:
        if not all(tracks.values()):
            raise
        return tracks, True
    return tracks, False


def track_frames(session: TrackingSession, source: FrameSource, boxes: Sequence[Box]) -> Iterator[TrackedFrame]:
    """Start the targets in the first frame and track them through the rest.

    Args:
        session: A session without targets.
        source: The frames.
        boxes: The targets' boxes in the first frame; their ids are 1, 2, ... in this order.

    Raises:
        ValueError: for a frame or a box that cannot be used.
    """
    for number, box in enumerate(boxes, start=1):
        session.request(InitRequest(box, id=str(number)))
    for frame in source:
        start = time.perf_counter()
        targets = session.track(frame).targets
        problems = session.take_problems()
        if problems:
            raise ValueError(str(problems[0]))
        results = {target.id: target.track for target in targets}
        yield TrackedFrame(frame, results, 1e3 * (time.perf_counter() - start))


def _report(tracks: dict[str, list[Timed]]) -> dict[str, Any]:
    """The summary of the only target, or of each of several."""
    summaries = {name: summary(track) for name, track in tracks.items()}
    if len(summaries) == 1:
        return summaries["1"]
    times = {"frames", "initialize_ms", "median_ms", "p95_ms"}
    shared = {name: value for name, value in summaries["1"].items() if name in times}
    counts = {
        name: {state: count for state, count in one.items() if state not in times} for name, one in summaries.items()
    }
    return shared | {"targets": counts}


def _print(report: dict[str, Any]) -> None:
    print("  ".join(f"{name}={_shown(value)}" for name, value in report.items() if name != "targets"))
    for target, counts in report.get("targets", {}).items():
        print(f"target {target}: " + "  ".join(f"{state}={count}" for state, count in counts.items()))


def summary(track: Sequence[Timed]) -> dict[str, Any]:
    """Counts of states, and times without the first frame, of one target."""
    states = [result.state for result, _ in track[1:]]
    times = sorted(milliseconds for _, milliseconds in track[1:]) or [0.0]
    return {
        "frames": len(track),
        **{state.name.lower(): states.count(state) for state in State},
        "initialize_ms": round(track[0][1], 1),
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(times[min(int(0.95 * len(times)), len(times) - 1)], 1),
    }


def score(boxes: list[Box], truth: list[Box | None]) -> dict[str, float | None]:
    """Overlap with the truth, over the frames that have both; None if there is no such frame."""
    count = min(len(boxes), len(truth))
    ious = overlaps(boxes[:count], truth[:count])
    if not ious:
        return {"mean_iou": None, "success_auc": None}
    return {"mean_iou": round(sum(ious) / len(ious), 4), "success_auc": round(success_auc(ious), 4)}


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else printable(str(value))
