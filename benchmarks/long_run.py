"""Does time or memory grow over a long run? 10,000 frames with full memories.

make run-benchmark NAME=long_run ARGS="[--preset compact] [--frames 10000]"
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import numpy as np

from trdimp_ros.cli.options import add_tracker_arguments, build_tracker
from trdimp_ros.media.scene import RenderedScene

PARTS = 10
WARM_UP = 0.1
"""Share of the frames before memory is looked at: allocators fill their pools first."""


def resident_bytes() -> int:
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    add_tracker_arguments(parser)
    parser.add_argument("--frames", type=int, default=10000)
    options = parser.parse_args()
    tracker, _ = build_tracker(options)
    scene = RenderedScene()
    # Forward and backward through the scene's first part, in which the target is always in sight.
    shown = [scene.frame(index) for index in range(40)]
    shown += shown[-2:0:-1]
    tracker.initialize(shown[0], scene.box(0))
    gc.disable()  # what reference counting does not free would show as growth
    times, resident = np.zeros(options.frames), np.zeros(options.frames)
    for index in range(options.frames):
        start = time.perf_counter()
        tracker.track(shown[(index + 1) % len(shown)])
        times[index] = 1e3 * (time.perf_counter() - start)
        resident[index] = resident_bytes()

    print(f"{'frames':<16}{'median ms':>10}{'p99 ms':>10}{'p99.9 ms':>10}{'RSS MiB':>10}")
    for part in np.array_split(np.arange(options.frames), PARTS):
        row = [np.percentile(times[part], share) for share in (50, 99, 99.9)]
        memory = resident[part[-1]] / 2**20
        print(f"{part[0]:>6} to {part[-1]:<6}" + "".join(f"{value:>10.2f}" for value in row) + f"{memory:>10.1f}")
    later = np.arange(int(WARM_UP * options.frames), options.frames)
    slope = np.polyfit(later, resident[later], 1)[0]
    drift = np.polyfit(later, times[later], 1)[0] * len(later) / np.median(times)
    print(f"memory: {slope:+.0f} bytes a frame; latency: {100 * drift:+.1f} % over the run")


if __name__ == "__main__":
    main()
