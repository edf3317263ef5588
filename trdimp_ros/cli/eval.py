"""Evaluate trackers side by side on folders of sequences with ground truth (OTB, GOT-10k, LaSOT layouts)."""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_tracker
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.cli.terminal import Interrupted, printable
from trdimp_ros.evaluation.competitors import OPENCV_TRACKERS, Competitor, OwnTracker, opencv_tracker
from trdimp_ros.evaluation.datasets import ABSENCE_FILES, TRUTH_FILES, NamedFolder, find_sequences, read_sequence
from trdimp_ros.evaluation.metrics import separation
from trdimp_ros.evaluation.plots import write_plots
from trdimp_ros.evaluation.runner import SequenceRun, figures, mean_figures, run_all, write_track
from trdimp_ros.evaluation.tables import figures_table, sequences_table
from trdimp_ros.tracking import PRESETS

MAX_JOBS = 256
"""Processes at a time."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="a sequence, or a folder of sequences")
    parser.add_argument(
        "--trackers",
        metavar="NAMES",
        help=f"comma-separated: presets ({', '.join(PRESETS)}) and OpenCV's {', '.join(OPENCV_TRACKERS)}; models are "
        "given as nano:BACKBONE.onnx:HEAD.onnx and vit:MODEL.onnx (default: the tracker of --preset and --weights)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="sequences at a time; speeds need 1 (%(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="folder that gets a CSV file per sequence and the plots"
    )
    add_tracker_arguments(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= options.jobs <= MAX_JOBS:
        raise ValueError(f"--jobs must be from 1 to {MAX_JOBS}, got {options.jobs}")
    sequences = find_sequences(options.folders)
    check_outputs({"--out": options.out, "--json": options.json}, [options.weights, *_read_by(sequences)])
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    trackers = _trackers(options)
    runs: dict[str, list[SequenceRun]] = defaultdict(list)
    progress = tqdm(
        run_all(trackers, sequences, options.jobs), total=len(trackers) * len(sequences), unit="sequence", disable=None
    )
    try:
        for one in progress:
            runs[one.tracker].append(one)
            if options.out:
                write_track(_track_file(options.out, one), one)
    except KeyboardInterrupt as interrupt:
        if not runs:
            raise
        raise Interrupted(_finish(options.out, runs, sequences)) from interrupt
    return _finish(options.out, runs, sequences)


def _finish(
    out: Path | None, runs: dict[str, list[SequenceRun]], sequences: list[NamedFolder]
) -> dict[str, dict[str, Any]]:
    """Report on all runs: printed, drawn and returned."""
    roots = {sequence.name: sequence.root for sequence in sequences}
    report = {tracker: _report(tracked, roots) for tracker, tracked in runs.items()}
    for table in (sequences_table(report), figures_table(report)):
        print("\n".join(printable(line) for line in table.splitlines()), end="\n\n")
    if out:
        _plot(out / "curves.png", runs)
    return report


def _read_by(sequences: list[NamedFolder]) -> Iterator[Path]:
    """All that is read of the sequences: nothing is written to their folders, where it could pass for an image."""
    for folder in (one.folder for one in sequences):
        sequence = read_sequence(folder)
        files = [folder / name for name in (*TRUTH_FILES, *ABSENCE_FILES)]
        yield from (folder, folder / "img", *files, *sequence.frames.files)


def _trackers(options: argparse.Namespace) -> dict[str, Callable[[], Competitor]]:
    """Builders by name; each is tried once, so that a wrong name fails before anything runs."""
    trackers: dict[str, Callable[[], Competitor]] = {}
    if not options.trackers:
        _, info = build_tracker(options)
        return {options.preset if info.trained else f"{options.preset} untrained": partial(_own_tracker, options)}
    for word in options.trackers.split(","):
        name, *models = word.strip().split(":")
        if name in PRESETS:
            own = argparse.Namespace(**{**vars(options), "preset": name})
            trackers[name] = partial(_own_tracker, own)
        elif name in OPENCV_TRACKERS:
            trackers[name] = partial(opencv_tracker, name, [Path(model) for model in models])
        else:
            raise ValueError(f"unknown tracker {name!r}; known are {', '.join([*PRESETS, *OPENCV_TRACKERS])}")
        trackers[name]()
    return trackers


def _own_tracker(options: argparse.Namespace) -> Competitor:
    return OwnTracker(build_tracker(options)[0])


def _report(runs: list[SequenceRun], roots: dict[str, str]) -> dict[str, Any]:
    by_root: dict[str, list[SequenceRun]] = defaultdict(list)
    for run in runs:
        by_root[roots[run.sequence]].append(run)
    present = [value for run in runs for value in run.confidences(present=True)]
    absent = [value for run in runs for value in run.confidences(present=False)]
    return {
        "sequences": {run.sequence: _plain(figures(run)) for run in runs},
        "roots": {root: _plain(mean_figures(some)) for root, some in by_root.items()},
        "mean": _plain(mean_figures(runs) | {"confidence_roc_area": separation(present, absent)}),
    }


def _plain(row: dict[str, float]) -> dict[str, float | None]:
    """JSON has no nan."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _track_file(folder: Path, run: SequenceRun) -> Path:
    file = folder / run.tracker / f"{run.sequence.strip('/').replace('/', '_')}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _plot(file: Path, runs: dict[str, list[SequenceRun]]) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print("no plots: they need matplotlib (pip install 'trdimp_ros[eval]')")
        return
    write_plots(file, runs)
    print(f"wrote {printable(str(file))}")
