"""Which confidence means "lost"? Tracks validation clips once and prints what each threshold would cost; or compares.

    .venv/bin/python scripts/choose_thresholds.py --data ../shared/training ../shared/training_static \
        ../shared/training_video --weights run/network.safetensors

The clips are of images that were not trained on: synthetic ones with occluders and look-alikes, video, and views of
single images. In every other one the target is gone for a while. ``--set`` changes the tracker; give it several times,
with a comma between changes that belong together, to compare: --set box_method=direct --set box_method=iou,iounet_k=1.
``--stride 3`` leaves out two of three frames of every clip, as a slow camera or robot does: targets move three times as
far.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.checkpoints import BUNDLED_PRESET, bundled_network, load_network
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.tracking import preset
from trdimp_ros.training.clips import Clip
from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.real_clips import real_clips
from trdimp_ros.training.validation import VISIBLE, FrameRecord, validate, validation_clips

PERCENTILES = (1, 2, 5, 10, 25, 50, 75, 90, 95, 99)
THRESHOLDS = np.arange(0.05, 0.65, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")
    parser.add_argument("--clips", type=int, default=20, help="synthetic ones, and as many views (%(default)s)")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE[,NAME=VALUE]")
    parser.add_argument("--stride", type=int, default=1, help="take every so-many-th frame of each clip (%(default)s)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.stride < 1:
        parser.error(f"--stride must be at least 1, got {options.stride}")

    network = (load_network(options.weights) if options.weights else bundled_network())[0]
    clips = validation_clips(load_image_bank(options.data, "val"), options.clips)
    groups = {"synthetic": clips, "real": real_clips(options.data, "val", options.clips)}
    groups = {name: [every(options.stride, clip) for clip in some] for name, some in groups.items()}
    print(f"{'':<44}{'success':>9}{'SR.75':>7}{'ROC':>7}{'falsely lost':>14}{'absent noticed':>16}")
    for changes in options.changes or [""]:
        config = changed_by_text(preset(BUNDLED_PRESET), [change for change in changes.split(",") if change])
        records: list[FrameRecord] = []
        for name, some in groups.items():
            result = validate(network, config, some, torch.device(options.device))
            records += result.records
            good = np.mean([one.overlap > 0.75 for one in result.records if one.visible > VISIBLE])
            print(
                f"{changes + ' ' + name:<44}{result.success:>9.3f}{good:>7.3f}{result.separation:>7.3f}"
                f"{result.falsely_lost:>14.3f}{result.absent_noticed:>16.3f}",
                flush=True,
            )
        print_confidences(records)


def every(stride: int, clip: Clip) -> Clip:
    """Every so-many-th frame of a clip."""
    return Clip(clip.frames[::stride], clip.boxes[::stride], clip.visible[::stride])


def print_confidences(records: list[FrameRecord]) -> None:
    """How confidences are distributed, and what a threshold on them alone would say."""
    found = np.array([one.confidence for one in records if one.visible > VISIBLE and one.overlap > 0.5])
    present = np.array([one.confidence for one in records if one.visible > VISIBLE])
    absent = np.array([one.confidence for one in records if one.visible == 0])
    print("  percentile" + "".join(f"{share:>7}" for share in PERCENTILES))
    for name, values in (("found", found), ("present", present), ("absent", absent)):
        print(f"  {name:<10}" + "".join(f"{value:>7.2f}" for value in np.percentile(values, PERCENTILES)))
    print("  threshold " + "".join(f"{value:>7.2f}" for value in THRESHOLDS))
    for name, shares in (
        ("present <", [(present < value).mean() for value in THRESHOLDS]),
        ("absent <", [(absent < value).mean() for value in THRESHOLDS]),
    ):
        print(f"  {name:<10}" + "".join(f"{share:>7.3f}" for share in shares))


if __name__ == "__main__":
    main()
