"""From the node's parameters to a tracker that is warmed up."""

from __future__ import annotations

import os
from pathlib import Path

from trdimp_ros.checkpoints import WeightsInfo, default_network, load_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters
from trdimp_ros.tracking import LongTermTracker
from trdimp_ros.tracking.devices import PRECISIONS, choose_device
from trdimp_ros.tracking.engines import choose_engine, share_threads


def build_tracker(parameters: TrackerNodeParameters) -> tuple[LongTermTracker, WeightsInfo]:
    """Load the weights, build the tracker on its device and warm it up.

    Raises:
        ValueError: for weights that cannot be loaded, or a device that is not there.
        OSError: for a file that cannot be read.
    """
    model = parameters.model
    device = choose_device(model.device)
    if model.weights:
        # Unlike Path.expanduser this leaves the home of an unknown user as it is, and the file is then missed by name.
        network, weights = load_network(Path(os.path.expanduser(model.weights)))
    else:
        network, weights = default_network(parameters.preset)
    precision = PRECISIONS[model.precision]
    engine = share_threads(choose_engine(model.engine, device, precision), model.threads)
    tracker = LongTermTracker(network, parameters.tracker, parameters.max_targets, device, precision, engine=engine)
    _warm_up(tracker)
    return tracker, weights


def weights_warning(weights: WeightsInfo, preset: str) -> str | None:
    """What a user should know about weights that do not go with the preset; None where there is nothing."""
    if not weights.trained:
        return f"preset {preset} without model.weights: untrained weights, good for a demo only (see README.md)"
    if weights.preset not in ("", preset):
        return f"weights {weights.name} are meant for preset {weights.preset}, tracking with preset {preset}"
    return None


def _warm_up(tracker: LongTermTracker) -> None:
    """Track two frames of a rendered scene, so that the first real one is not slow, and forget them."""
    scene = RenderedScene(320, 240)
    tracker.add("warm-up", scene.frame(0), scene.box(0))
    tracker.track(scene.frame(1))
    tracker.reset()
