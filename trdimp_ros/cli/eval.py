"""Evaluate trackers on folders of sequences with ground truth (OTB, GOT-10k, LaSOT layouts)."""

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
from trdimp_ros.cli.terminal import printable
from trdimp_ros.evaluation.competitors import OPENCV_TRACKERS, Competitor, OwnTracker, opencv_tracker
from trdimp_ros.evaluation.datasets import ABSENCE_FILES, TRUTH_FILES, read_sequence, sequence_folders
from trdimp_ros.evaluation.metrics import separation
from trdimp_ros.evaluation.plots import write_plots
from trdimp_ros.evaluation.runner import SequenceRun, figures, mean_figures, run_all, write_track
from trdimp_ros.tracking import PRESETS

COLUMNS = {
    "auc": "AUC",
    "precision": "prec20",
    "normalized_precision": "nprec",
    "average_overlap": "AO",
    "success_rate_50": "SR.50",
    "success_rate_75": "SR.75",
    "absent_not_normal": "lost ok",
    "present_not_found": "false lost",
    "frames_to_recover": "recover",
    "fps": "fps",
}
"""Figures in the table: name in the JSON file and heading."""

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
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for a CSV file per sequence and the plots")
    add_tracker_arguments(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    if not 1 <= options.jobs <= MAX_JOBS:
        raise ValueError(f"--jobs must be from 1 to {MAX_JOBS}, got {options.jobs}")
    folders = [found for folder in options.folders for found in sequence_folders(folder)]
    check_outputs({"--out": options.out, "--json": options.json}, [options.weights, *_read_by(folders)])
    trackers = _trackers(options)
    runs: dict[str, list[SequenceRun]] = defaultdict(list)
    progress = tqdm(
        run_all(trackers, folders, options.jobs), total=len(trackers) * len(folders), unit="sequence", disable=None
    )
    for one in progress:
        runs[one.tracker].append(one)
    report = {tracker: _report(tracked) for tracker, tracked in runs.items()}
    for tracker, figures_of in report.items():
        print(_table(tracker, figures_of))
    if options.out:
        _write(options.out, runs)
    return report


def _read_by(folders: list[Path]) -> Iterator[Path]:
    """All that is read of the sequences: nothing is written to their folders, where it could pass for an image."""
    for folder in folders:
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


def _report(runs: list[SequenceRun]) -> dict[str, Any]:
    rows = {run.sequence: figures(run) for run in runs}
    present = [value for run in runs for value in run.confidences(present=True)]
    absent = [value for run in runs for value in run.confidences(present=False)]
    mean = mean_figures(list(rows.values())) | {"confidence_roc_area": separation(present, absent)}
    return {"sequences": {name: _plain(row) for name, row in rows.items()}, "mean": _plain(mean)}


def _plain(row: dict[str, float]) -> dict[str, float | None]:
    """JSON has no nan."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _table(tracker: str, report: dict[str, Any]) -> str:
    lines = [f"{tracker:<20}{'frames':>7}" + "".join(f"{heading:>11}" for heading in COLUMNS.values())]
    for name, row in [*report["sequences"].items(), ("mean", report["mean"])]:
        cells = [_cell(key, row[key]) for key in COLUMNS]
        lines.append(f"{printable(name):<20}{row['frames']:>7.0f}" + "".join(f"{cell:>11}" for cell in cells))
    return "\n".join(lines) + "\n"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if name in ("fps", "frames_to_recover") else f"{value:.3f}"


def _write(folder: Path, runs: dict[str, list[SequenceRun]]) -> None:
    for tracker, tracked in runs.items():
        (folder / tracker).mkdir(parents=True, exist_ok=True)
        for one in tracked:
            write_track(folder / tracker / f"{one.sequence}.csv", one)
    if importlib.util.find_spec("matplotlib") is None:
        print("no plots: they need matplotlib (pip install 'trdimp_ros[eval]')")
        return
    for file in write_plots(folder, dict(runs)):
        print(f"wrote {printable(str(file))}")
