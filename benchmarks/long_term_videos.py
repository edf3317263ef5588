"""Real videos with and without long-term tracking, beside OpenCV's CSRT and KCF.

    make run-benchmark NAME=long_term_videos ARGS="../shared/sequences/pedestrian3 ../shared/sequences/car --opencv"
    make run-benchmark NAME=long_term_videos ARGS=../shared/sequences

For each video and tracker: returns found again (overlap at least 0.5) and after how many frames, absent frames that
were said to be normal, and the area under the success curve; then over all videos the means, and F, precision and
recall of long-term tracking where there are absences. `trdimp eval` computes the same figures; here several settings go
side by side. The videos of ../shared/sequences are for reporting: thresholds are chosen on others.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from trdimp_ros.checkpoints import bundled_network, load_network
from trdimp_ros.evaluation.competitors import Competitor, OwnTracker, opencv_tracker
from trdimp_ros.evaluation.datasets import find_sequences, read_sequence
from trdimp_ros.evaluation.longterm import recoveries
from trdimp_ros.evaluation.runner import SequenceRun, figures, mean_figures, run_sequence, write_track
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.testing.long_term_settings import LONG_TERM_SETTINGS
from trdimp_ros.tracking import Tracker, TrackerConfig, preset
from trdimp_ros.tracking.devices import threads_in_use, use_threads
from trdimp_ros.tracking.engines import choose_engine, share_threads


def main() -> None:
    """Run all trackers over all videos and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--settings", nargs="*", choices=LONG_TERM_SETTINGS, default=["off", "all"])
    parser.add_argument("--opencv", action="store_true", help="run CSRT and KCF too")
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="gets a CSV file for each tracker and video")
    options = parser.parse_args()
    use_threads(options.threads)
    network, _ = load_network(options.weights) if options.weights else bundled_network()
    names = [*options.settings, *(["csrt", "kcf"] if options.opencv else [])]
    runs: dict[str, list[SequenceRun]] = {name: [] for name in names}
    for found in find_sequences(options.folders):
        for name in names:
            tracker = competitor(name, network, options.changes)
            run = replace(run_sequence(name, tracker, read_sequence(found.folder)), sequence=found.name)
            runs[name].append(run)
            print(line(run), flush=True)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                write_track(options.out / f"{found.name.strip('/').replace('/', '_')}_{name}.csv", run)
    for name, some in runs.items():
        row = mean_figures(some)
        text = f"{name:<8} over all: mean auc {row['auc']:.4f}"
        if any(run.has_absences for run in some):
            precision, recall = row["long_term_precision"], row["long_term_recall"]
            text += f"; long-term F {row['long_term_f']:.3f} (precision {precision:.3f}, recall {recall:.3f})"
        print(text)


def competitor(name: str, network: TrDiMPNet, changes: list[str]) -> Competitor:
    """A tracker by its name in `LONG_TERM_SETTINGS`, or one of OpenCV's."""
    if name not in LONG_TERM_SETTINGS:
        return opencv_tracker(name, [])
    config: TrackerConfig = replace(preset("compact"), **LONG_TERM_SETTINGS[name])  # type: ignore[arg-type]
    engine = share_threads(choose_engine("auto", torch.device("cpu")), threads_in_use())
    return OwnTracker(Tracker(network, changed_by_text(config, changes), engine=engine))


def line(run: SequenceRun) -> str:
    """What one tracker did on one video."""
    row = figures(run)
    text = f"{run.sequence:<14}{run.tracker:<8}auc {row['auc']:.3f}"
    if run.has_absences:
        delays = recoveries(run.overlaps)
        text += (
            f", F {row['long_term_f']:.3f}, returns after {delays} frames, said normal in "
            f"{1 - row['absent_not_normal']:.3f} of {row['absent_frames']:.0f} absent frames"
        )
    return f"{text}, {row['median_ms']:.0f} ms"


if __name__ == "__main__":
    main()
