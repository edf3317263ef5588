"""Measure the time of every stage, with the memories full."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from trdimp_ros.cli.options import add_tracker_arguments, build_network
from trdimp_ros.cli.outputs import check_outputs
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.sources import Frame
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.tracking import Box, MultiTracker, State, TargetState, preset
from trdimp_ros.tracking.devices import PRECISIONS, choose_device, threads_in_use, torch_threads, use_threads
from trdimp_ros.tracking.engines import choose_engine, engine_name, share_threads
from trdimp_ros.tracking.frame_pass import no_stage

UNIT_SIZE = 352
"""Side of the image whose plain backbone forward pass is the unit of cost."""

MAX_TARGETS = 64
"""Targets at once; room for all of them is taken on the device."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_tracker_arguments(parser)
    parser.add_argument("--frames", type=int, default=100, help="measured frames, at least 20 (%(default)s)")
    parser.add_argument("--targets", type=int, default=1, help="tracked at once (%(default)s)")
    parser.add_argument(
        "--eager",
        action="store_true",
        help="frames not in one piece, so that stages are timed",
    )
    parser.add_argument("--width", type=int, default=640, help="pixels of the image (%(default)s)")
    parser.add_argument("--height", type=int, default=480, help="pixels of the image (%(default)s)")


class StageTimer:
    """Collects the time between one stage's end and the next's, in milliseconds.

    Args:
        device: Waited for at the end of each stage, so that its time is counted where it belongs.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.times: defaultdict[str, list[float]] = defaultdict(list)
        self.restart()

    def restart(self) -> None:
        """Begin the next frame."""
        self._synchronize()
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        self._synchronize()
        now = time.perf_counter()
        self.times[stage].append(1e3 * (now - self._last))
        self._last = now

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def run(options: argparse.Namespace) -> dict[str, Any]:
    check_outputs({"--json": options.json}, [options.weights])
    if options.frames < 20:
        raise ValueError(f"--frames must be at least 20 for a median and a 95th percentile, got {options.frames}")
    if not 1 <= options.targets <= MAX_TARGETS:
        raise ValueError(f"--targets must be from 1 to {MAX_TARGETS}, got {options.targets}")
    device = choose_device(options.device)
    use_threads(options.threads)
    network, info = build_network(options)
    config = changed_by_text(preset(options.preset), options.changes)
    unit = UnitClock(network, device)
    precision, graphs = PRECISIONS[options.precision], not options.eager
    engine = share_threads(choose_engine(options.engine, device, precision), options.threads)
    tracker = MultiTracker(network, config, options.targets, device, precision, options.seed, graphs, engine)
    scene = RenderedScene(options.width, options.height)
    times = measure(tracker, scene.frame(0), scene.box(0), options.frames, options.targets, unit)
    report: dict[str, Any] = {
        "preset": options.preset,
        "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": threads_in_use(),
        "precision": options.precision,
        "engine": engine_name(engine),
        "graphs": tracker.uses_graphs,
        "weights": info.name,
        "image": [options.width, options.height],
        "targets": options.targets,
        "frames": options.frames,
        **times,
    }
    print_table(report)
    return report


def measure(
    tracker: MultiTracker,
    frame: Frame,
    box: Box,
    frames: int,
    targets: int = 1,
    unit: Callable[[], float] | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Time a camera before a still scene: every frame starts from the same box, is found, and is learned from.

    Args:
        tracker: A tracker without targets.
        frame: The scene.
        box: The target's box in it.
        frames: How many frames to measure, after the memories are full.
        targets: How many to track at once: all of them this one. Nothing is shared between them, so they cost what
            different ones would.
        unit: Called now and then, gives the milliseconds of one backbone unit.
        progress: Whether to show a bar.

    Returns:
        ``initialize_ms`` of one target, the `spread` of ``locate``, ``learn`` and ``frame``, ``stages`` (with CUDA
        graphs: what is left outside them), and with a unit ``backbone_unit_ms`` and ``backbone_units``.

    Raises:
        ValueError: if the target is lost.
    """
    timer = StageTimer(tracker.device)
    for name in range(targets):
        tracker.add(name, frame, box)
    initialize = _milliseconds(lambda: tracker.add(targets - 1, frame, box), timer)
    still = replace(tracker.target(0))
    fill_memories(tracker, frame, still)

    tracker.stage = timer
    totals, locates, learns, units = [], [], [], []
    for index in tqdm(range(frames), unit="frame", disable=None if progress else True):
        if unit is not None and index % 10 == 0:
            units.append(unit())
        set_back(tracker, still)
        timer.restart()
        start = time.perf_counter()
        results = tracker.locate(frame)
        between = time.perf_counter()
        tracker.learn()
        timer.restart()
        end = time.perf_counter()
        if any(result.state in (State.NOT_FOUND, State.UNCERTAIN) for result in results.values()):
            raise ValueError(f"the target was lost in frame {index}; the figures would mean nothing")
        locates.append(1e3 * (between - start))
        learns.append(1e3 * (end - between))
        totals.append(1e3 * (end - start))
    tracker.stage = no_stage
    report: dict[str, Any] = {
        "initialize_ms": initialize,
        "stages": {name: spread(times, frames) for name, times in timer.times.items()},
        "locate": spread(locates, frames),
        "learn": spread(learns, frames),
        "frame": spread(totals, frames),
    }
    if units:
        report["backbone_unit_ms"] = statistics.median(units)
        report["backbone_units"] = (statistics.median(locates) + statistics.mean(learns)) / report["backbone_unit_ms"]
    return report


class UnitClock:
    """Times one plain eager float32 forward pass of the same backbone to its third stage, on a 352x352 image."""

    def __init__(self, network: TrDiMPNet, device: torch.device) -> None:
        self._backbone = network.backbone.to(device).eval()
        self._image = torch.randn(1, 3, UNIT_SIZE, UNIT_SIZE, device=device)
        self._timer = StageTimer(device)
        for _ in range(3):
            self()

    @torch.inference_mode()
    def __call__(self) -> float:
        """Milliseconds, the better of two."""
        with torch_threads(threads_in_use()):
            return min(_milliseconds(lambda: self._backbone(self._image), self._timer) for _ in range(2))


def set_back(tracker: MultiTracker, still: TargetState) -> None:
    """Put the targets back to where they were at first."""
    for name in tracker.names:
        tracker.set_target(name, replace(still, frame_number=tracker.target(name).frame_number))


def fill_memories(tracker: MultiTracker, frame: np.ndarray, still: TargetState) -> None:
    """Track the same frame until all memories are full."""
    memories = [tracker.memories(name) for name in tracker.names]

    def stored() -> list[int]:
        return [samples.weights.stored for samples, _ in memories]

    while any(
        samples.weights.stored < samples.capacity or len(templates) < templates.capacity
        for samples, templates in memories
    ):
        before = stored()
        set_back(tracker, still)
        tracker.track(frame)
        if stored() == before:
            raise ValueError("the target of the rendered scene was lost; the memories cannot be filled")


def spread(times: list[float], frames: int) -> dict[str, float]:
    """Median, 95th, 99th and 99.9th percentile of the calls, their number, and their sum divided by the frames."""
    shares = {"median_ms": 50, "p95_ms": 95, "p99_ms": 99, "p99.9_ms": 99.9}
    percentiles = {name: float(np.percentile(times, share)) for name, share in shares.items()}
    return percentiles | {"count": len(times), "per_frame_ms": sum(times) / frames}


def print_table(report: dict[str, Any]) -> None:
    """The report as a table."""
    print(
        f"preset {report['preset']}, {report['precision']}, {report['device']}, engine {report['engine']}, "
        f"{report['threads']} threads, image {report['image'][0]}x{report['image'][1]}, "
        f"targets {report['targets']}, {report['frames']} frames, memories full"
    )
    print(f"{'stage':<18}{'median ms':>10}{'p95 ms':>10}{'p99 ms':>10}{'calls':>8}{'ms/frame':>10}")
    whole = {name: report[name] for name in ("locate", "learn", "frame")}
    for name, row in (report["stages"] | whole).items():
        print(
            f"{name:<18}{row['median_ms']:>10.2f}{row['p95_ms']:>10.2f}{row['p99_ms']:>10.2f}{row['count']:>8}{row['per_frame_ms']:>10.2f}"
        )
    print(f"initialize {report['initialize_ms']:.0f} ms; one backbone unit {report['backbone_unit_ms']:.1f} ms")
    print(f"locate (median) + learn (mean) = {report['backbone_units']:.2f} backbone units")


def _milliseconds(work: Callable[[], Any], timer: StageTimer) -> float:
    timer.restart()
    start = time.perf_counter()
    work()
    timer.restart()
    return 1e3 * (time.perf_counter() - start)
