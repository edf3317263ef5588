"""What backbone, data and box head each are worth: the same short training with one thing changed at a time.

    make run-benchmark NAME=ablation ARGS="--sequences ../shared/sequences --out FOLDER \
        --data ../shared/training ../shared/training_static ../shared/training_video"

Every arm is trained from the start on as many samples with the same seed, and tracks the validation clips and the
sequences with the preset ``compact``, without search for lost targets: a network that is trained so briefly is often
unsure, and what a search makes of that would hide what is compared. Arms are trained once; the same command goes on
where it was stopped, and ``--arms`` names those to do. The box heads are compared in the arm ``heads``, in which the
IoU predictor is trained as well: its loss reaches no other part of the network, but counts when gradients are clipped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.checkpoints import load_network
from trdimp_ros.evaluation.competitors import OwnTracker
from trdimp_ros.evaluation.datasets import find_sequences, read_sequence
from trdimp_ros.evaluation.runner import mean_figures, run_sequence
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.tracking import Tracker, TrackerConfig, preset
from trdimp_ros.tracking.config import BoxMethod
from trdimp_ros.tracking.devices import threads_in_use, use_threads
from trdimp_ros.tracking.engines import choose_engine, share_threads
from trdimp_ros.training.clips import Clip
from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.real_clips import real_clips
from trdimp_ros.training.validation import VISIBLE, validate, validation_clips

RECIPE = (
    "batch=16",
    "learning_rate=0.002",
    "filter_learning_rate=0.0005",
    "cool_down=0.5",
    "average=0.99",
    "appearance_weight=0",
    "composition.side=192",
    "composition.search_area_scale=3.75",
    "composition.absent_share=0.2",
    "composition.look_alike_share=0.4",
)
"""That of the bundled weights (docs/training.md), but for the length."""


@dataclass(frozen=True)
class Arm:
    """One training.

    Attributes:
        network: The name of the network.
        folders: How many of the data folders it is given, from the first on: objects (with a few clips), single images,
            video.
        changes: What differs from `RECIPE`.
        heads: The box methods that the network tracks with, one line of the table each.
    """

    network: str = "compact"
    folders: int = 3
    changes: tuple[str, ...] = ("box_weight=0",)
    heads: tuple[BoxMethod, ...] = ("direct",)


ARMS = {
    "frozen": Arm(),
    "heads": Arm(changes=("box_weight=0.1",), heads=("direct", "iou", "direct_iou")),
    "tuned": Arm(changes=("box_weight=0", "backbone_rate=0.1")),
    "residual": Arm(network="compact_resnet"),
    "pasted": Arm(folders=1, changes=("box_weight=0", "composition.real_share=0")),
    "static": Arm(folders=2),
}


def main() -> None:
    """Train what is missing, measure, and print one line for each arm and box method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs=3, required=True, help="objects, images with boxes, video")
    parser.add_argument("--sequences", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True, help="gets one folder an arm")
    parser.add_argument("--steps", type=int, default=400, help="of 16 samples (%(default)s)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--clips", type=int, default=20, help="synthetic ones, and as many views (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of training and tracking (%(default)s)")
    parser.add_argument("--precision", default="auto", help="of the training")
    parser.add_argument("--only-train", action="store_true", help="measure nothing")
    options = parser.parse_args()
    use_threads(options.threads)
    for name in options.arms:
        train(name, options)
    if options.only_train:
        return
    clips = validation_clips(load_image_bank(options.data, "val"), options.clips)
    groups = {"synthetic": clips, "real": real_clips(options.data, "val", options.clips)}
    print("| arm | box | synthetic: success, SR.75 | real: success, SR.75 | videos: AUC | precision 20 px | SR.75 |")
    print("|---|---|---|---|---|---|---|")
    for name in options.arms:
        network = load_network(options.out / name / "network.safetensors")[0]
        for head in ARMS[name].heads:
            config = replace(preset("compact"), box_method=head, reacquire_budget=0, exclusivity_overlap=0.0)
            cells = [validation(network, config, some) for some in groups.values()]
            print(
                f"| {name} | {head} | {' | '.join(cells)} | {videos(network, config, options.sequences)} |", flush=True
            )


def train(name: str, options: argparse.Namespace) -> None:
    """Train an arm to its last step, in a process of its own; nothing where that is done."""
    arm, out = ARMS[name], options.out / name
    changes = [*RECIPE, f"steps={options.steps}", *arm.changes]
    command = [sys.executable, "-m", "trdimp_ros.cli.main", "train", "--out", str(out), "--validate-every", "0"]
    command += ["--network", arm.network, "--precision", options.precision]
    command += ["--data", *(str(folder) for folder in options.data[: arm.folders])]
    command += [word for change in changes for word in ("--set", change)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})


def validation(network: TrDiMPNet, config: TrackerConfig, clips: list[Clip]) -> str:
    """Success and the share of frames with an overlap above 0.75, where the target is to be seen."""
    result = validate(network, config, clips, torch.device("cpu"))
    good = np.mean([one.overlap > 0.75 for one in result.records if one.visible > VISIBLE])
    return f"{result.success:.3f}, {good:.3f}"


def videos(network: TrDiMPNet, config: TrackerConfig, folders: list[Path]) -> str:
    """AUC, precision and SR.75, means over the sequences."""
    engine = share_threads(choose_engine("auto", torch.device("cpu")), threads_in_use())
    sequences = [read_sequence(found.folder) for found in find_sequences(folders)]
    runs = [run_sequence("", OwnTracker(Tracker(network, config, engine=engine)), one) for one in sequences]
    row = mean_figures(runs)
    return f"{row['auc']:.3f} | {row['precision']:.3f} | {row['success_rate_75']:.3f}"


if __name__ == "__main__":
    main()
