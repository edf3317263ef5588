"""Is a frame slower than it was at an earlier commit? Both trees run in turn, in one run on one machine.

    make run-benchmark NAME=against_commit ARGS="00d19cc --presets compact trdimp"

Every round times the same frames of the rendered scene in a process of the earlier tree and in one of this tree, with
the earlier tree's parameters and weights in both, so that only the code differs. Needs git and this checkout's history.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

WORKER = """
import dataclasses, json, sys, time
import torch
from trdimp_ros.checkpoints import load_network, untrained_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.tracking import Tracker, TrackerConfig, preset

name, weights, parameters, frames, threads, clock = json.loads(sys.argv[1])
now = getattr(time, clock)
torch.set_num_threads(threads)
def as_tuple(value):
    return tuple(as_tuple(item) for item in value) if isinstance(value, list) else value

fields = {key: as_tuple(value) for key, value in parameters.items()}
config = dataclasses.replace(TrackerConfig(), **fields) if parameters else preset(name)
network = (load_network(weights) if weights else untrained_network())[0]
scene = RenderedScene(640, 480)
images = [scene.frame(index) for index in range(min(frames, 60))]
tracker = Tracker(network, config)
tracker.initialize(images[0], scene.box(0))
times = []
for index in range(frames):
    image = images[index % len(images)]
    start = now()
    tracker.locate(image)
    tracker.learn()
    times.append(1e3 * (now() - start))
print(json.dumps({"times": times[5:], "config": dataclasses.asdict(config)}))
"""
"""Runs in either tree, so it uses only what both have."""


def main() -> None:
    """Time both trees and print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="the earlier commit")
    parser.add_argument("--presets", nargs="+", default=["compact", "trdimp"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="count the processor's time instead of the time on the wall: for a machine that others use too",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        earlier = Path(folder) / "earlier"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", earlier, options.commit], cwd=ROOT, check=True)
        try:
            for name in options.presets:
                compare(earlier, name, options)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", earlier], cwd=ROOT, check=True)


def compare(earlier: Path, name: str, options: argparse.Namespace) -> None:
    """Time one preset in both trees, in turn, and print the result.

    Args:
        earlier: The checkout of the earlier commit.
        name: The preset.
        options: The numbers of rounds, frames and threads.
    """
    bundled = earlier / "trdimp_ros" / "checkpoints" / "compact.safetensors"
    weights = str(bundled) if name == "compact" else ""
    clock = "process_time" if options.processor_time else "perf_counter"
    _, parameters = run(earlier, (name, weights, {}, 6, options.threads, clock))
    medians: dict[str, list[float]] = {"earlier": [], "now": []}
    for _ in range(options.rounds):
        for which, tree in (("earlier", earlier), ("now", ROOT)):
            times, _ = run(tree, (name, weights, parameters, options.frames, options.threads, clock))
            medians[which].append(statistics.median(times))
    before, now = (statistics.median(values) for values in medians.values())
    print(
        f"{name}: earlier {before:.1f} ms, now {now:.1f} ms, ratio {now / before:.3f}; medians of each round {medians}"
    )


def run(tree: Path, arguments: tuple[object, ...]) -> tuple[list[float], dict[str, object]]:
    """Milliseconds of every frame in a process of this tree, and the parameters that it used."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-c", WORKER, json.dumps(arguments)]
    result = subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True, text=True)
    content = json.loads(result.stdout.splitlines()[-1])
    return content["times"], content["config"]


if __name__ == "__main__":
    main()
