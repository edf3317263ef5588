"""What do other processes on the same cores cost? Frame times idle and loaded, for each way in which threads wait.

    make run-benchmark NAME=contention ARGS="[--frames 200] [--rounds 3] [--spins 0 1000 300000] [--load N]"

The load is as many processes as there are cores (or ``--load``), of the same priority, each multiplying matrices in
one thread without a pause: harsher than a robot's other nodes, which sleep between their messages. Every setting runs
in a process of its own, since OpenMP reads it when torch is loaded; the settings take turns, so that what else happens
on the machine meets all of them. Run it on a machine that is otherwise idle.

Spins are turns of the loop in which GNU's OpenMP runtime (that of torch's wheels for Linux) waits before a thread
sleeps: 300000 is its own default, 0 is OMP_WAIT_POLICY=PASSIVE, and what node and command use is in
``trdimp_ros/openmp.py``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trdimp_ros.openmp import CHOICES, SPINS
from trdimp_ros.tracking.engines import ENGINES

LOAD = "import numpy; a = numpy.ones((300, 300))\nwhile True: a @ a"
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

WORKER = """
import json, sys, time
import torch
from trdimp_ros.checkpoints import default_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.tracking import Tracker, preset
from trdimp_ros.tracking.engines import choose_engine, share_threads

name, frames, threads, engine = json.loads(sys.argv[1])
scene = RenderedScene(640, 480)
images = [scene.frame(index) for index in range(min(frames, 60))]
engine = share_threads(choose_engine(engine, torch.device("cpu")), threads)
tracker = Tracker(default_network(name)[0], preset(name), engine=engine)
tracker.initialize(images[0], scene.box(0))
times = []
for index in range(frames + 5):
    start = time.perf_counter()
    tracker.track(images[index % len(images)])
    times.append(1e3 * (time.perf_counter() - start))
print(json.dumps(times[5:]))
"""


def main() -> None:
    """Measure all settings and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--spins", type=int, nargs="+", default=[0, int(SPINS["GOMP_SPINCOUNT"]), 300000])
    parser.add_argument("--load", type=int, default=len(os.sched_getaffinity(0)), help="processes; (%(default)s)")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all frame times to this file")
    options = parser.parse_args()
    settings = [
        (threads, spins, load)
        for threads in options.threads
        for spins in (options.spins if threads > 1 else options.spins[:1])  # one thread waits for nobody
        for load in (0, options.load)
    ]
    times: dict[tuple[int, int, int], list[float]] = {setting: [] for setting in settings}
    for _ in range(options.rounds):
        for threads, spins, load in settings:
            with other_processes(load):
                worker = Worker(options.preset, options.frames, threads, options.engine)
                times[threads, spins, load] += frame_times(worker, spins)
    idle_best = min(np.median(values) for (_, _, load), values in times.items() if load == 0)
    print(f"{'threads':>7}{'spins':>8}{'load':>6}{'median ms':>11}{'p99 ms':>9}{'median to the best idle one':>29}")
    for (threads, spins, load), values in times.items():
        median, high = np.percentile(values, (50, 99))
        shown = str(spins) if threads > 1 else "-"
        print(f"{threads:>7}{shown:>8}{load:>6}{median:>11.1f}{high:>9.1f}{median / idle_best:>29.2f}")
    if options.json is not None:
        report = [
            {"threads": threads, "spins": spins, "load": load, "frame_ms": values}
            for (threads, spins, load), values in times.items()
        ]
        options.json.write_text(json.dumps(report) + "\n")


@contextlib.contextmanager
def other_processes(count: int) -> Iterator[None]:
    """So many processes that compute without a pause, for as long as the context lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", LOAD], env=os.environ | SINGLE_THREADED) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


class Worker(NamedTuple):
    """What a process that tracks is told.

    Attributes:
        preset: The parameter set to track with.
        frames: The number of frames that are timed.
        threads: The number of threads.
        engine: What computes the convolutions.
    """

    preset: str
    frames: int
    threads: int
    engine: str


def frame_times(worker: Worker, spins: int) -> list[float]:
    """Milliseconds of every frame, tracked in a new process.

    Args:
        worker: What the process is told.
        spins: The turns of the loop in which one of torch's threads waits before it sleeps.
    """
    clean = {name: value for name, value in os.environ.items() if name not in (*CHOICES, "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", WORKER, json.dumps(worker)]
    environment = clean | {"GOMP_SPINCOUNT": str(spins)}
    result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    times: list[float] = json.loads(result.stdout.splitlines()[-1])
    return times


if __name__ == "__main__":
    main()
