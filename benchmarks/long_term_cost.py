"""What does long-term tracking cost while nothing is lost? Frame by frame in one process, in turn.

    make run-benchmark NAME=long_term_cost ARGS="--frames 300"

One target of the rendered scene that is found in every frame. Every setting has a tracker of its own, and every frame
goes through all of them before the next one, in an order that rotates: what else the machine does meets all alike. The
ratio of two settings is the median over frames of the ratio of that frame's times. Times are those of the processor
(`time.process_time`), which do not count what other programs use; --wall measures the clock's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trdimp_ros.checkpoints import bundled_network, load_network
from trdimp_ros.media.demo_scene import demo_scene
from trdimp_ros.testing.long_term_settings import LONG_TERM_SETTINGS
from trdimp_ros.tracking import Tracker, preset
from trdimp_ros.tracking.camera_motion import CameraMotion
from trdimp_ros.tracking.devices import threads_in_use, use_threads
from trdimp_ros.tracking.engines import choose_engine, share_threads

WARM_UP = 5
"""Frames that do not count."""


def main() -> None:
    """Time all settings and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--weights", type=Path, help="default: the bundled ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wall", action="store_true", help="the clock's time instead of the processor's")
    options = parser.parse_args()
    use_threads(options.threads)
    clock = time.perf_counter if options.wall else time.process_time
    times, camera = measure(options, clock)
    kind = "clock" if options.wall else "processor"
    for name, values in times.items():
        ratios = values / times[next(iter(times))]
        print(
            f"{name:<14} median {np.median(values):6.1f} ms of the {kind}, to off {np.median(ratios):.3f} "
            f"(half of the frames from {np.percentile(ratios, 25):.3f} to {np.percentile(ratios, 75):.3f})"
        )
    print(f"camera motion alone: median {np.median(camera):.2f} ms, 95 % below {np.percentile(camera, 95):.2f}")


def measure(options: argparse.Namespace, clock: Callable[[], float]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Milliseconds of every frame in each setting, and of the camera motion's estimate by itself.

    Args:
        options: Of the command line.
        clock: Seconds.
    """
    network, _ = load_network(options.weights) if options.weights else bundled_network()
    scene = demo_scene(options.width, options.width * 3 // 4)
    box = scene.box(0)
    assert box is not None
    # There and back again, so that nothing jumps however many frames are asked for.
    images = [scene.frame(index) for index in range(60)]
    images += images[-2:0:-1]
    engine = share_threads(choose_engine("auto", torch.device("cpu")), threads_in_use())
    trackers = {
        name: Tracker(network, replace(preset("compact"), **changes), engine=engine)  # type: ignore[arg-type]
        for name, changes in LONG_TERM_SETTINGS.items()
    }
    for tracker in trackers.values():
        tracker.initialize(images[0], box)
    motion, names = CameraMotion("auto"), list(trackers)
    times: dict[str, list[float]] = {name: [] for name in names}
    camera, lost = [], 0
    for index in range(1, options.frames + WARM_UP):
        image = images[index % len(images)]
        for number in range(len(names)):
            name = names[(number + index) % len(names)]
            start = clock()
            result = trackers[name].track(image)
            times[name].append(1e3 * (clock() - start))
            lost += not result.found
        start = clock()
        motion.update(image, {0: result.box})
        camera.append(1e3 * (clock() - start))
    print(f"{options.frames} frames at {options.width}x{options.width * 3 // 4}, said not found in {lost} of all")
    return {name: np.array(values[WARM_UP:]) for name, values in times.items()}, np.array(camera[WARM_UP:])


if __name__ == "__main__":
    main()
