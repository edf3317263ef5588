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
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from pathlib import Path

import numpy as np

from trdimp_ros.evaluation.competitors import Answer, Competitor
from trdimp_ros.evaluation.datasets import LabelledSequence, NamedFolder, read_sequence
from trdimp_ros.evaluation.longterm import LongTermTrack, long_term_score, recoveries
from trdimp_ros.evaluation.metrics import (
    center_errors,
    overlaps,
    precision_curve,
    success_auc,
)
from trdimp_ros.media.files import complete_file
from trdimp_ros.tracking import Box
from trdimp_ros.tracking.devices import limit_threads, threads_in_use
from trdimp_ros.tracking.geometry import intersection_over_union

PIXELS = 20.0
"""Centre error that counts as precise (OTB)."""

NORMALIZED_THRESHOLDS = np.linspace(0.0, 0.5, 51)
"""Over which the normalised precision is averaged (LaSOT)."""


@dataclass(frozen=True)
class SequenceRun:
    """What a tracker said of every frame of a sequence.

    Attributes:
        tracker: The tracker's name.
        sequence: The sequence's name.
        answers: The tracker's answer to every frame; the first is the box that it was given.
        truth: The true box of every frame, None where there is no target.
        milliseconds: The time of every frame but the first.
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
        """The confidences in frames with, or without, the target; the first frame is left out."""
        pairs = zip(self.answers[1:], self.truth[1:], strict=True)
        values = [answer.confidence for answer, true in pairs if (true is not None) == present]
        return [value for value in values if not math.isnan(value)]

    @property
    def overlaps(self) -> list[float | None]:
        """Intersection over union of every frame, None where there is no target."""
        pairs = zip(self.boxes, self.truth, strict=True)
        return [None if true is None else intersection_over_union(box, true) for box, true in pairs]

    @property
    def has_absences(self) -> bool:
        return any(true is None for true in self.truth)

    def long_term(self) -> LongTermTrack:
        """The track for the long-term measures; the first frame is given and left out.

        A tracker without confidence is sure wherever it says that it sees the target.
        """
        later = self.answers[1:]
        return LongTermTrack(
            overlaps=[iou or 0.0 for iou in self.overlaps[1:]],
            confidences=[_belief(answer) for answer in later],
            present=[true is not None for true in self.truth[1:]],
        )


def _belief(answer: Answer) -> float:
    if math.isnan(answer.confidence):
        return float("-inf") if answer.state == "not_found" else 1.0
    return answer.confidence


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
    later = list(zip(run.answers[1:], run.truth[1:], strict=True))
    absent = [answer for answer, true in later if true is None]
    present = [answer for answer, true in later if true is not None]
    return {
        "frames": len(run.answers),
        "absent_frames": len(absent),
        "auc": success_auc(ious),
        "precision": float(precision_curve(errors, np.array([PIXELS]))[0]),
        "normalized_precision": float(precision_curve(normalized, NORMALIZED_THRESHOLDS).mean()),
        "average_overlap": float(np.mean(ious[1:])) if len(ious) > 1 else float("nan"),
        "success_rate_50": float(np.mean(np.asarray(ious[1:]) > 0.5)) if len(ious) > 1 else float("nan"),
        "success_rate_75": float(np.mean(np.asarray(ious[1:]) > 0.75)) if len(ious) > 1 else float("nan"),
        "absent_not_normal": _share(absent, lambda answer: answer.state != "normal"),
        "absent_not_found": _share(absent, lambda answer: answer.state == "not_found"),
        "present_not_found": _share(present, lambda answer: answer.state == "not_found"),
        **_long_term_figures([run]),
        **_recovery_figures(run),
        "fps": 1e3 / float(np.mean(run.milliseconds)) if run.milliseconds else float("nan"),
        "median_ms": float(np.median(run.milliseconds)) if run.milliseconds else float("nan"),
    }


def mean_figures(runs: Sequence[SequenceRun]) -> dict[str, float]:
    """The mean of every figure over the sequences to which it applies.

    The long-term ones are not means: precision and recall are averaged at common thresholds before F is taken.
    """
    rows = [figures(run) for run in runs]
    means = {}
    for name in rows[0]:
        values = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = float(np.mean(values)) if values else float("nan")
    return means | _long_term_figures(runs)


def _long_term_figures(runs: Sequence[SequenceRun]) -> dict[str, float]:
    """The long-term figures over the sequences in which the target is absent for a while; nan without one."""
    tracks = [run.long_term() for run in runs if run.has_absences]
    if not tracks:
        return dict.fromkeys(("long_term_precision", "long_term_recall", "long_term_f"), float("nan"))
    score = long_term_score(tracks)
    return {"long_term_precision": score.precision, "long_term_recall": score.recall, "long_term_f": score.f}


def _recovery_figures(run: SequenceRun) -> dict[str, float]:
    delays = recoveries(run.overlaps)
    found = [delay for delay in delays if delay is not None]
    return {
        "returns": len(delays),
        "found_again": len(found) / len(delays) if delays else float("nan"),
        "frames_to_recover": float(np.mean(found)) if found else float("nan"),
    }


def _share(answers: list[Answer], wanted: Callable[[Answer], bool]) -> float:
    return float(np.mean([wanted(answer) for answer in answers])) if answers else float("nan")


def run_all(
    trackers: dict[str, Callable[[], Competitor]], sequences: Sequence[NamedFolder], jobs: int
) -> Iterator[SequenceRun]:
    """Every tracker over every sequence, in this order.

    Args:
        trackers: What builds each tracker, by its name; called in the process that uses it, so it must be picklable.
        sequences: The sequences' folders and names.
        jobs: Processes. Speeds are comparable only with one.
    """
    tasks = [(name, build, sequence) for name, build in trackers.items() for sequence in sequences]
    if jobs <= 1:
        for task in tasks:
            yield _run_task(*task)
        return
    threads = max(threads_in_use() // jobs, 1)
    pool = ProcessPoolExecutor(
        min(jobs, len(tasks)),
        mp_context=get_context("spawn"),
        initializer=limit_threads,
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


def _run_task(name: str, build: Callable[[], Competitor], sequence: NamedFolder) -> SequenceRun:
    return replace(run_sequence(name, build(), read_sequence(sequence.folder)), sequence=sequence.name)


def write_track(path: Path, run: SequenceRun) -> None:
    """Write a CSV file with one row a frame.

    Raises:
        OSError: if it cannot be written.
    """
    with complete_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "x", "y", "w", "h", "confidence", "state", "overlap", "milliseconds"])
        times = [float("nan"), *run.milliseconds]
        for number, (answer, iou, time_taken) in enumerate(zip(run.answers, run.overlaps, times, strict=True)):
            overlap = "" if iou is None else f"{iou:.4f}"
            box = [f"{value:.3f}" for value in answer.box]
            writer.writerow([number, *box, f"{answer.confidence:.4f}", answer.state, overlap, f"{time_taken:.2f}"])
