"""Track a target through a video file or a folder of images."""

from __future__ import annotations

import argparse
import contextlib
import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_tracker, parse_box
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.cli.terminal import Interrupted, printable
from trdimp_ros.cli.window import check_display, show
from trdimp_ros.evaluation.metrics import overlaps, read_boxes, success_auc
from trdimp_ros.media.drawing import VideoWriter, draw_result
from trdimp_ros.media.files import complete_file
from trdimp_ros.media.sources import Frame, FrameSource, ImageFolder, open_source
from trdimp_ros.tracking import Box, State, Tracker, TrackResult
from trdimp_ros.tracking.geometry import check_image, check_init_box

CSV_COLUMNS = ("frame", "x", "y", "w", "h", "confidence", "state", "milliseconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="VIDEO_OR_FOLDER", help="video file, or folder of images (OTB layout too)")
    parser.add_argument("--init", type=parse_box, metavar="x,y,w,h", help="box in the first frame, pixels")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="true boxes, one x,y,w,h per line: scored, and the first is --init"
    )
    add_tracker_arguments(parser)
    parser.add_argument("--save", type=Path, metavar="OUT.mp4", help="write the video with the results drawn in")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one line per frame")
    parser.add_argument("--show", action="store_true", help="show the video in a window")


class TrackedFrame(NamedTuple):
    """One line of a track; the first frame's result is the initial box."""

    frame: Frame
    result: TrackResult
    milliseconds: float


class Output(Protocol):
    """Something that is told every tracked frame, and returns whether it wants more."""

    def __call__(self, index: int, tracked: TrackedFrame) -> bool: ...


def run(options: argparse.Namespace) -> dict[str, Any]:
    source = open_source(options.source)
    files = source.files if isinstance(source, ImageFolder) else [Path(options.source)]
    written = {"--save": options.save, "--csv": options.csv, "--json": options.json}
    check_outputs(written, [*files, options.truth, options.weights])
    truth = read_boxes(options.truth) if options.truth else None
    init = options.init or (truth[0] if truth else None)
    if init is None:
        raise ValueError("no box to start from: give --init x,y,w,h, or --truth with a box in its first line")
    # Refuse what cannot work before loading a network takes its time.
    first = next(iter(source), None)
    if first is None:
        raise ValueError(f"{options.source} holds no frame that can be read")
    check_init_box(init, check_image(first).shape[:2])
    if options.show:
        check_display()
    with contextlib.ExitStack() as stack:
        outputs = _open_outputs(options, source, truth, stack)
        tracker, weights = build_tracker(options)
        tracked, interrupted = _track_all(tracker, source, init, outputs)
    report = summary(tracked) | {"weights": weights.name, "preset": options.preset}
    if truth is not None:
        report |= score([result.box for result, _ in tracked], truth)
    print("  ".join(f"{name}={_shown(value)}" for name, value in report.items()))
    if interrupted:
        raise Interrupted(report)
    return report


def _track_all(
    tracker: Tracker, source: FrameSource, init: Box, outputs: list[Output]
) -> tuple[list[tuple[TrackResult, float]], bool]:
    """Track to the end, or until an output has enough or the user interrupts.

    Returns:
        The result and the milliseconds of every frame, and whether it was interrupted.
    """
    tracked: list[tuple[TrackResult, float]] = []
    frames = tqdm(track_frames(tracker, source, init), total=len(source) or None, unit="frame", disable=None)
    try:
        for index, one in enumerate(frames):
            tracked.append((one.result, one.milliseconds))
            if not all(output(index, one) for output in outputs):
                break
    except KeyboardInterrupt:
        if not tracked:
            raise
        return tracked, True
    return tracked, False


def track_frames(tracker: Tracker, source: FrameSource, init: Box) -> Iterator[TrackedFrame]:
    """Initialise on the first frame and track through the rest."""
    for index, frame in enumerate(source):
        start = time.perf_counter()
        if index == 0:
            tracker.initialize(frame, init)
            result = TrackResult(box=init, confidence=1.0, state=State.NORMAL, search_area=init)
        else:
            result = tracker.track(frame)
        yield TrackedFrame(frame, result, 1e3 * (time.perf_counter() - start))


def summary(tracked: list[tuple[TrackResult, float]]) -> dict[str, Any]:
    """Counts of states, and times without the first frame."""
    states = [result.state for result, _ in tracked[1:]]
    times = sorted(milliseconds for _, milliseconds in tracked[1:]) or [0.0]
    return {
        "frames": len(tracked),
        **{state.name.lower(): states.count(state) for state in State},
        "initialize_ms": round(tracked[0][1], 1),
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


def _open_outputs(
    options: argparse.Namespace, source: FrameSource, truth: list[Box | None] | None, stack: contextlib.ExitStack
) -> list[Output]:
    outputs: list[Output] = []
    if options.csv:
        file = stack.enter_context(complete_file(options.csv))
        table = csv.writer(stack.enter_context(file.open("w", newline="")))

        def write_row(index: int, tracked: TrackedFrame) -> bool:
            if index == 0:
                table.writerow(CSV_COLUMNS)
            result = tracked.result
            numbers = [f"{value:.3f}" for value in result.box]
            state = result.state.name.lower()
            table.writerow([index, *numbers, f"{result.confidence:.5f}", state, f"{tracked.milliseconds:.2f}"])
            return True

        outputs.append(write_row)
    if options.save:
        writer = stack.enter_context(VideoWriter(options.save, source.rate))

        def write_frame(index: int, tracked: TrackedFrame) -> bool:
            true = truth[index] if truth and index < len(truth) else None
            writer.write(draw_result(tracked.frame, tracked.result, true))
            return True

        outputs.append(write_frame)
    if options.show:
        outputs.append(lambda _index, tracked: show(draw_result(tracked.frame, tracked.result)))
    return outputs


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else printable(str(value))
