"""Where `trdimp track` writes what it tracks: tables, a video, a window."""

from __future__ import annotations

import argparse
import contextlib
import csv
from typing import NamedTuple, Protocol

from trdimp_ros.cli.window import show
from trdimp_ros.evaluation.motchallenge import LabelledBox, line_of
from trdimp_ros.media.drawing import VideoWriter, draw_result, draw_results
from trdimp_ros.media.files import complete_file
from trdimp_ros.media.sources import Frame, FrameSource
from trdimp_ros.tracking import Box, TrackResult

CSV_COLUMNS = ("frame", "x", "y", "w", "h", "confidence", "state", "milliseconds")
"""With several targets, ``id`` comes last."""


class TrackedFrame(NamedTuple):
    """A frame with what was found in it.

    Attributes:
        frame: The image, (H, W, 3) uint8 RGB.
        results: The result of every target by its id; in the first frame the initial boxes.
        milliseconds: How long it took.
    """

    frame: Frame
    results: dict[str, TrackResult]
    milliseconds: float


class Output(Protocol):
    """Something that is told every tracked frame, and returns whether it wants more."""

    def __call__(self, index: int, tracked: TrackedFrame) -> bool: ...


def open_outputs(
    options: argparse.Namespace, source: FrameSource, truth: list[Box | None] | None, stack: contextlib.ExitStack
) -> list[Output]:
    """Open everything that the options ask for.

    Args:
        options: The command's options.
        source: The frames that will be tracked; a saved video has their rate.
        truth: True boxes to draw beside a single target.
        stack: Closes the outputs; files appear then.

    Raises:
        ValueError: if an output cannot be written.
        OSError: for the same reasons.
    """
    outputs: list[Output] = []
    if options.csv:
        outputs.append(_csv_output(options, stack))
    if options.mot:
        outputs.append(_mot_output(options, stack))
    if options.save:
        writer = stack.enter_context(VideoWriter(options.save, source.rate))

        def write_frame(index: int, tracked: TrackedFrame) -> bool:
            writer.write(drawn(tracked, truth[index] if truth and index < len(truth) else None))
            return True

        outputs.append(write_frame)
    if options.show:
        outputs.append(lambda _index, tracked: show(drawn(tracked)))
    return outputs


def drawn(tracked: TrackedFrame, truth: Box | None = None) -> Frame:
    """The frame with all results drawn in."""
    if len(tracked.results) == 1:
        return draw_result(tracked.frame, next(iter(tracked.results.values())), truth)
    return draw_results(tracked.frame, list(tracked.results.items()))


def _csv_output(options: argparse.Namespace, stack: contextlib.ExitStack) -> Output:
    file = stack.enter_context(complete_file(options.csv))
    table = csv.writer(stack.enter_context(file.open("w", newline="")))

    def write_rows(index: int, tracked: TrackedFrame) -> bool:
        several = len(tracked.results) > 1
        if index == 0:
            table.writerow([*CSV_COLUMNS, "id"] if several else CSV_COLUMNS)
        for name, result in tracked.results.items():
            numbers = [f"{value:.3f}" for value in result.box]
            state = result.state.name.lower()
            row = [index, *numbers, f"{result.confidence:.5f}", state, f"{tracked.milliseconds:.2f}"]
            table.writerow([*row, name] if several else row)
        return True

    return write_rows


def _mot_output(options: argparse.Namespace, stack: contextlib.ExitStack) -> Output:
    file = stack.enter_context(complete_file(options.mot))
    stream = stack.enter_context(file.open("w"))

    def write_lines(index: int, tracked: TrackedFrame) -> bool:
        for name, result in tracked.results.items():
            if result.found:
                stream.write(f"{line_of(LabelledBox(index, int(name), result.box, result.confidence))}\n")
        return True

    return write_lines
