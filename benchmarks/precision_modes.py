"""What does half precision change? Time, and agreement with float32 on real video.

make run-benchmark NAME=precision_modes ARGS="FOLDER [FOLDER ...] [--preset compact] [--modes bfloat16 float16]"

Tracking is chaotic: a rounding error in one frame moves the crop of the next. So there are two comparisons. ``free``:
both run by themselves. ``guided``: before every frame position and size are set to the float32 run's, memories and
filter evolve; this shows what one frame changes. As a yardstick, float32 with other random candidate boxes (another
seed) is compared too.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_tracker
from trdimp_ros.evaluation.datasets import LabelledSequence, read_sequence, sequence_folders
from trdimp_ros.tracking import Box, State, TargetState, Tracker
from trdimp_ros.tracking.geometry import intersection_over_union


class Run(NamedTuple):
    """One run: for each frame after the first the box, the state, where the target then was, and milliseconds."""

    boxes: list[Box]
    states: list[State]
    targets: list[TargetState]
    milliseconds: list[float]


def follow(tracker: Tracker, sequence: LabelledSequence, guide: Run | None = None) -> Run:
    """Track through a sequence, from the positions of another run if there is a guide."""
    run = Run([], [], [], [])
    start = sequence.truth[0]
    assert start is not None
    for index, frame in enumerate(sequence.frames):
        if index == 0:
            tracker.initialize(frame, start)
            continue
        if guide is not None and index > 1:
            assert tracker.target is not None
            tracker.target = replace(guide.targets[index - 2], frame_number=tracker.target.frame_number)
        begin = time.perf_counter()
        result = tracker.track(frame)
        run.milliseconds.append(1e3 * (time.perf_counter() - begin))
        run.boxes.append(result.box)
        run.states.append(result.state)
        run.targets.append(copy.deepcopy(tracker.target))
    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--modes", nargs="+", choices=["bfloat16", "float16"], default=["bfloat16"])
    add_tracker_arguments(parser)
    options = parser.parse_args()
    folders = [found for folder in options.folders for found in sequence_folders(folder)]

    def tracker(precision: str, seed: int = 0) -> Tracker:
        options.precision, options.seed = precision, seed
        return build_tracker(options)[0]

    print(f"{'sequence':<14}{'compared':<18}{'mean IoU with float32':>22}{'same state':>12}{'ms, of float32':>16}")
    totals: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for folder in tqdm(folders, disable=None):
        sequence = read_sequence(folder)
        exact = follow(tracker("float32"), sequence)
        others = {"another seed": follow(tracker("float32", seed=1), sequence)}
        for mode in options.modes:
            others[f"{mode}, free"] = follow(tracker(mode), sequence)
            others[f"{mode}, guided"] = follow(tracker(mode), sequence, guide=exact)
        for name, other in others.items():
            overlaps = [intersection_over_union(*pair) for pair in zip(exact.boxes, other.boxes, strict=True)]
            same = [one == another for one, another in zip(exact.states, other.states, strict=True)]
            ratio = np.median(other.milliseconds) / np.median(exact.milliseconds)
            totals[name].append((float(np.mean(overlaps)), float(np.mean(same)), len(same)))
            print(
                f"{folder.name:<14}{name:<18}{np.mean(overlaps):>22.3f}{np.mean(same):>12.3f}{ratio:>16.2f}", flush=True
            )
    for name, rows in totals.items():
        frames = sum(count for _, _, count in rows)
        overlap, same_state = (sum(row[column] * row[2] for row in rows) / frames for column in (0, 1))
        print(f"{'all frames':<14}{name:<18}{overlap:>22.3f}{same_state:>12.3f}")


if __name__ == "__main__":
    main()
