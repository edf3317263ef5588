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

import cv2
from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_tracker, parse_box
from trdimp_ros.evaluation.metrics import overlaps, read_boxes, success_auc
from trdimp_ros.media.drawing import VideoWriter, draw_result
from trdimp_ros.media.sources import Frame, FrameSource, open_source
from trdimp_ros.tracking import Box, State, Tracker, TrackResult
from trdimp_ros.tracking.geometry import check_image, check_init_box

CSV_COLUMNS = ("frame", "x", "y", "w", "h", "confidence", "state", "milliseconds")
WINDOW = "trdimp (press q to stop)"


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
    """Something that is told every tracked frame."""

    def __call__(self, index: int, tracked: TrackedFrame) -> None: ...


def run(options: argparse.Namespace) -> dict[str, Any]:
    source = open_source(options.source)
    truth = read_boxes(options.truth) if options.truth else None
    init = options.init or (truth[0] if truth else None)
    if init is None:
        raise ValueError("no box to start from: give --init x,y,w,h, or --truth with a box in its first line")
    # Refuse what cannot work before loading a network takes its time.
    first = next(iter(source), None)
    if first is None:
        raise ValueError(f"{options.source} holds no frame that can be read")
    check_init_box(init, check_image(first).shape[:2])
    if options.save:
        VideoWriter(options.save, source.rate)
    tracker, weights = build_tracker(options)

    tracked: list[tuple[TrackResult, float]] = []
    with contextlib.ExitStack() as stack:
        outputs = _open_outputs(options, source, truth, stack)
        frames = tqdm(track_frames(tracker, source, init), total=len(source) or None, unit="frame", disable=None)
        for index, one in enumerate(frames):
            tracked.append((one.result, one.milliseconds))
            for output in outputs:
                output(index, one)
            if options.show and _window_closed(one):
                break
    report = summary(tracked) | {"weights": weights.name, "preset": options.preset}
    if truth is not None:
        report |= score([result.box for result, _ in tracked], truth)
    print("  ".join(f"{name}={_shown(value)}" for name, value in report.items()))
    return report


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


def score(boxes: list[Box], truth: list[Box | None]) -> dict[str, float]:
    """Overlap with the truth, over the frames that have both."""
    count = min(len(boxes), len(truth))
    ious = overlaps(boxes[:count], truth[:count])
    return {"mean_iou": round(sum(ious) / len(ious), 4), "success_auc": round(success_auc(ious), 4)}


def _open_outputs(
    options: argparse.Namespace, source: FrameSource, truth: list[Box | None] | None, stack: contextlib.ExitStack
) -> list[Output]:
    outputs: list[Output] = []
    if options.csv:
        table = csv.writer(stack.enter_context(options.csv.open("w", newline="")))
        table.writerow(CSV_COLUMNS)

        def write_row(index: int, tracked: TrackedFrame) -> None:
            result = tracked.result
            numbers = [f"{value:.3f}" for value in result.box]
            state = result.state.name.lower()
            table.writerow([index, *numbers, f"{result.confidence:.5f}", state, f"{tracked.milliseconds:.2f}"])

        outputs.append(write_row)
    if options.save:
        writer = stack.enter_context(VideoWriter(options.save, source.rate))

        def write_frame(index: int, tracked: TrackedFrame) -> None:
            true = truth[index] if truth and index < len(truth) else None
            writer.write(draw_result(tracked.frame, tracked.result, true))

        outputs.append(write_frame)
    return outputs


def _window_closed(tracked: TrackedFrame) -> bool:
    try:
        cv2.imshow(WINDOW, cv2.cvtColor(draw_result(tracked.frame, tracked.result), cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF == ord("q")
    except cv2.error as error:
        raise ValueError(
            "--show needs a display and an OpenCV with windows (opencv-python, not -headless); use --save instead"
        ) from error


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
