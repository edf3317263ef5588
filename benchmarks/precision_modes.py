"""What does half precision change? Time, and agreement with float32 on real video.

make run-benchmark NAME=precision_modes ARGS="FOLDER [FOLDER ...] [--preset compact] [--modes bfloat16]"
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from trdimp_ros.cli.options import PRECISIONS, add_tracker_arguments, build_tracker
from trdimp_ros.evaluation.competitors import OwnTracker
from trdimp_ros.evaluation.datasets import read_sequence, sequence_folders
from trdimp_ros.evaluation.runner import SequenceRun, run_sequence
from trdimp_ros.tracking.geometry import intersection_over_union


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--modes", nargs="+", choices=list(PRECISIONS), default=["bfloat16"])
    add_tracker_arguments(parser)
    options = parser.parse_args()
    folders = [found for folder in options.folders for found in sequence_folders(folder)]

    def run(precision: str, folder: Path) -> SequenceRun:
        options.precision = precision
        return run_sequence(precision, OwnTracker(build_tracker(options)[0]), read_sequence(folder))

    print(f"{'sequence':<16}{'mode':<10}{'mean IoU with float32':>22}{'same state':>12}{'ms, of float32':>16}")
    totals: dict[str, list[tuple[float, float, int]]] = {mode: [] for mode in options.modes}
    for folder in tqdm(folders, disable=None):
        exact = run("float32", folder)
        for mode in options.modes:
            other = run(mode, folder)
            pairs = list(zip(exact.answers[1:], other.answers[1:], strict=True))
            overlap = float(np.mean([intersection_over_union(a.box, b.box) for a, b in pairs]))
            same = float(np.mean([a.state == b.state for a, b in pairs]))
            ratio = np.median(other.milliseconds) / np.median(exact.milliseconds)
            totals[mode].append((overlap, same, len(pairs)))
            print(f"{folder.name:<16}{mode:<10}{overlap:>22.3f}{same:>12.3f}{ratio:>16.2f}", flush=True)
    for mode, rows in totals.items():
        frames = sum(count for _, _, count in rows)
        overlap, same = (sum(row[column] * row[2] for row in rows) / frames for column in (0, 1))
        print(f"{'all frames':<16}{mode:<10}{overlap:>22.3f}{same:>12.3f}")


if __name__ == "__main__":
    main()
