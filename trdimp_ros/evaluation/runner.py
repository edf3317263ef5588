"""Running trackers over sequences, several at a time, and summing up."""

from __future__ import annotations

import csv
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.evaluation.competitors import Answer, Competitor
from trdimp_ros.evaluation.datasets import LabelledSequence, read_sequence
from trdimp_ros.evaluation.metrics import (
    center_errors,
    frames_to_recover,
    overlaps,
    precision_curve,
    success_auc,
)
from trdimp_ros.tracking import Box
from trdimp_ros.tracking.geometry import intersection_over_union

PIXELS = 20.0
"""Centre error that counts as precise (OTB)."""

NORMALIZED_THRESHOLDS = np.linspace(0.0, 0.5, 51)
"""Over which the normalised precision is averaged (LaSOT)."""


@dataclass(frozen=True)
class SequenceRun:
    """What a tracker said of every frame of a sequence.

    Attributes:
        tracker: Its name.
        sequence: Likewise.
        answers: The first one is the box it was given.
        truth: None where there is no target.
        milliseconds: Of every frame but the first.
    """

    tracker: str
    sequence: str
    answers: list[Answer]
    truth: list[Box | None]
    milliseconds: list[float]

    @property
    def boxes(self) -> list[Box]:
        return [answer.box for answer in self.answers]

    def confidences(self, present: bool) -> list[float]:
        """Of the frames with, or without, the target; the first one left out."""
        pairs = zip(self.answers[1:], self.truth[1:], strict=True)
        values = [answer.confidence for answer, true in pairs if (true is not None) == present]
        return [value for value in values if not math.isnan(value)]


def run_sequence(name: str, competitor: Competitor, sequence: LabelledSequence) -> SequenceRun:
    """One tracker over one sequence, started with the first true box and never corrected."""
    answers, milliseconds = [], []
    for index, frame in enumerate(sequence.frames):
        start = time.perf_counter()
        if index == 0:
            first = sequence.truth[0]
            assert first is not None
            competitor.initialize(frame, first)
            answers.append(Answer(first, float("nan"), "normal"))
        else:
            answers.append(competitor.track(frame))
            milliseconds.append(1e3 * (time.perf_counter() - start))
    return SequenceRun(name, sequence.name, answers, sequence.truth, milliseconds)


def figures(run: SequenceRun) -> dict[str, float]:
    """The figures of one run; nan where one does not apply."""
    ious = overlaps(run.boxes, run.truth)
    errors = center_errors(run.boxes, run.truth)
    normalized = center_errors(run.boxes, run.truth, normalized=True)
    by_frame = [
        None if true is None else intersection_over_union(answer.box, true)
        for answer, true in zip(run.answers, run.truth, strict=True)
    ]
    later = list(zip(run.answers[1:], run.truth[1:], strict=True))
    absent = [answer for answer, true in later if true is None]
    present = [answer for answer, true in later if true is not None]
    recovered = frames_to_recover(by_frame)
    return {
        "frames": len(run.answers),
        "auc": success_auc(ious),
        "precision": float(precision_curve(errors, np.array([PIXELS]))[0]),
        "normalized_precision": float(precision_curve(normalized, NORMALIZED_THRESHOLDS).mean()),
        "average_overlap": float(np.mean(ious[1:])) if len(ious) > 1 else float("nan"),
        "success_rate_50": float(np.mean(np.asarray(ious[1:]) > 0.5)) if len(ious) > 1 else float("nan"),
        "success_rate_75": float(np.mean(np.asarray(ious[1:]) > 0.75)) if len(ious) > 1 else float("nan"),
        "absent_not_normal": _share(absent, lambda answer: answer.state != "normal"),
        "absent_not_found": _share(absent, lambda answer: answer.state == "not_found"),
        "present_not_found": _share(present, lambda answer: answer.state == "not_found"),
        "frames_to_recover": float("nan") if recovered is None else float(recovered),
        "fps": 1e3 / float(np.mean(run.milliseconds)) if run.milliseconds else float("nan"),
        "median_ms": float(np.median(run.milliseconds)) if run.milliseconds else float("nan"),
    }


def mean_figures(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every figure over the sequences to which it applies."""
    means = {}
    for name in rows[0]:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = float(np.mean(values)) if values else float("nan")
    return means


def _share(answers: list[Answer], wanted: Callable[[Answer], bool]) -> float:
    return float(np.mean([wanted(answer) for answer in answers])) if answers else float("nan")


def run_all(trackers: dict[str, Callable[[], Competitor]], folders: Sequence[Path], jobs: int) -> Iterator[SequenceRun]:
    """Every tracker over every sequence, in this order or, with several jobs, as they end.

    Args:
        trackers: By name; each builds one tracker, in the process that uses it, so it must be picklable.
        folders: Of the sequences.
        jobs: Processes. Speeds are comparable only with one.
    """
    tasks = [(name, build, folder) for name, build in trackers.items() for folder in folders]
    if jobs <= 1:
        for name, build, folder in tasks:
            yield _run_task(name, build, folder)
        return
    threads = max(torch.get_num_threads() // jobs, 1)
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(threads,),
    )
    try:
        with _ignored_by_children():
            futures = [pool.submit(_run_task, *task) for task in tasks]
        for future in futures:
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError("a process of --jobs died, perhaps for lack of memory; use fewer") from error
    except BaseException:
        for process in active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ignored_by_children() -> Iterator[None]:
    """Processes started meanwhile leave Ctrl-C to this one, which ends them; here it is only delayed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run_task(name: str, build: Callable[[], Competitor], folder: Path) -> SequenceRun:
    return run_sequence(name, build(), read_sequence(folder))


def write_track(path: Path, run: SequenceRun) -> None:
    """A CSV file with one row a frame."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "x", "y", "w", "h", "confidence", "state", "overlap", "milliseconds"])
        times = [float("nan"), *run.milliseconds]
        for number, (answer, true, time_taken) in enumerate(zip(run.answers, run.truth, times, strict=True)):
            overlap = "" if true is None else f"{intersection_over_union(answer.box, true):.4f}"
            box = [f"{value:.3f}" for value in answer.box]
            writer.writerow([number, *box, f"{answer.confidence:.4f}", answer.state, overlap, f"{time_taken:.2f}"])
