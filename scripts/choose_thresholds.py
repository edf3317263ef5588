"""Which confidence means "lost"? Tracks validation clips with several thresholds and prints what each costs.

    .venv/bin/python scripts/choose_thresholds.py --data ../shared/training --weights run/network.safetensors

The clips are synthetic, of images that were not trained on; in every other one the target leaves and returns.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.checkpoints import BUNDLED_PRESET, bundled_network, load_network
from trdimp_ros.tracking import preset
from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.validation import VISIBLE, validate, validation_clips

PERCENTILES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--not-found", type=float, nargs="+", default=[0.1, 0.15, 0.2, 0.25])
    parser.add_argument("--uncertain", type=float, nargs="+", default=[0.0])
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    network = (load_network(options.weights) if options.weights else bundled_network())[0]
    clips = validation_clips(load_image_bank(options.data, "val"), options.clips)
    device = torch.device(options.device)
    print(
        f"{'not_found':>10}{'uncertain':>10}{'success':>9}{'ROC':>7}{'falsely lost':>14}{'absent noticed':>16}",
        flush=True,
    )
    for not_found, uncertain in itertools.product(options.not_found, options.uncertain):
        config = replace(preset(BUNDLED_PRESET), target_not_found_threshold=not_found, uncertain_threshold=uncertain)
        result = validate(network, config, clips, device)
        print(
            f"{not_found:>10.2f}{uncertain:>10.2f}{result.success:>9.3f}{result.separation:>7.3f}"
            f"{result.falsely_lost:>14.3f}{result.absent_noticed:>16.3f}",
            flush=True,
        )
    # Of the last run: what the confidences look like.
    present = [one.confidence for one in result.records if one.visible > VISIBLE and one.overlap > 0.5]
    absent = [one.confidence for one in result.records if one.visible == 0]
    print("percentile" + "".join(f"{share:>8}" for share in PERCENTILES))
    for name, values in (("found", present), ("absent", absent)):
        print(f"{name:<10}" + "".join(f"{value:>8.2f}" for value in np.percentile(values, PERCENTILES)))


if __name__ == "__main__":
    main()
