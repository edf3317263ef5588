"""Options that several subcommands share, and what they build."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from trdimp_ros.checkpoints import BUNDLED_PRESET, WeightsInfo, default_network, load_network
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.sessions import TrackingSession
from trdimp_ros.tracking import PRESETS, Box, LongTermTracker, MultiTracker, Tracker, TrackerConfig, preset
from trdimp_ros.tracking.devices import PRECISIONS, choose_device
from trdimp_ros.tracking.engines import ENGINES, choose_engine, share_threads

OFFICIAL_PRESET = "trdimp"
"""For weights that do not say what they are meant for."""


def add_changes_argument(parser: argparse.ArgumentParser, text: str) -> None:
    """The option --set NAME=VALUE, which may be repeated and is read by `trdimp_ros.parameters.changed_by_text`."""
    parser.add_argument("--set", dest="changes", metavar="NAME=VALUE", action="append", default=[], help=text)


def add_tracker_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that decide which tracker runs."""
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        help=f"parameter set; default: what the weights are meant for, {BUNDLED_PRESET} for the bundled ones",
    )
    add_changes_argument(parser, "change one parameter of the preset; may be repeated")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help=".safetensors or official .pth.tar; default: the bundled compact network for its preset, untrained "
        "weights for the others",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (%(default)s)")
    parser.add_argument(
        "--precision",
        choices=list(PRECISIONS),
        default="float32",
        help="precision of backbone and attention (%(default)s)",
    )
    parser.add_argument(
        "--engine",
        choices=list(ENGINES),
        default="auto",
        help="what computes the network; auto: openvino where it is installed, on a processor in float32",
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="threads of the processor; 0: torch's choice, one per core"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (%(default)s)")


def build_network(options: argparse.Namespace) -> tuple[TrDiMPNet, WeightsInfo]:
    """The network that the options ask for; an option ``preset`` left out becomes what its weights are meant for.

    Raises:
        ValueError: for weights that cannot be loaded.
    """
    if options.weights is not None:
        network, info = load_network(options.weights)
        options.preset = options.preset or info.preset or OFFICIAL_PRESET
        return network, info
    options.preset = options.preset or BUNDLED_PRESET
    network, info = default_network(options.preset)
    if not info.trained:
        print(
            f"No --weights given for preset {options.preset}: using untrained, reproducible weights. Only what is "
            "learned online tracks; expect it to hold easy targets and no more.",
            file=sys.stderr,
        )
    return network, info


def build_tracker(options: argparse.Namespace) -> tuple[Tracker, WeightsInfo]:
    """The tracker that the options ask for.

    Raises:
        ValueError: for options that cannot be met.
    """
    device, network, info, config = _tracker_parts(options)
    precision = PRECISIONS[options.precision]
    engine = share_threads(choose_engine(options.engine, device, precision), options.threads)
    return Tracker(network, config, device, precision, options.seed, engine=engine), info


def build_multi_tracker(options: argparse.Namespace, max_targets: int, graphs: bool = True) -> MultiTracker:
    """The tracker of several targets that the options ask for.

    Raises:
        ValueError: for options that cannot be met.
    """
    return _multi_tracker(options, max_targets, graphs)[0]


def build_session(options: argparse.Namespace, max_targets: int) -> tuple[TrackingSession, WeightsInfo]:
    """A session without targets, on the tracker that the options ask for.

    Raises:
        ValueError: for options that cannot be met.
    """
    tracker, info = _multi_tracker(options, max_targets)
    return TrackingSession(tracker), info


def _multi_tracker(
    options: argparse.Namespace, max_targets: int, graphs: bool = True
) -> tuple[MultiTracker, WeightsInfo]:
    device, network, info, config = _tracker_parts(options)
    precision = PRECISIONS[options.precision]
    engine = share_threads(choose_engine(options.engine, device, precision), options.threads)
    return LongTermTracker(network, config, max_targets, device, precision, options.seed, graphs, engine), info


def _tracker_parts(options: argparse.Namespace) -> tuple[torch.device, TrDiMPNet, WeightsInfo, TrackerConfig]:
    device = choose_device(options.device)
    network, info = build_network(options)
    return device, network, info, changed_by_text(preset(options.preset), options.changes)


def parse_box(text: str) -> Box:
    """``x,y,w,h`` as a box, for argparse."""
    try:
        x, y, w, h = (float(value) for value in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"a box is x,y,w,h, four numbers in pixels, got {text!r}") from error
    return Box(x, y, w, h)
