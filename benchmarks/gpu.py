"""How fast on a GPU? Presets, precisions, with and without CUDA graphs, several targets; and does it agree with a
processor? One run of a few minutes on a CUDA machine.

    python3 benchmarks/gpu.py [--frames 2000]

Needs torch with CUDA, NumPy, OpenCV, safetensors and tqdm; nothing has to be installed: it runs from the checkout.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from trdimp_ros.checkpoints import default_network
from trdimp_ros.cli.bench import UnitClock, measure
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.tracking import MultiTracker, Tracker, TrackResult, preset
from trdimp_ros.tracking.geometry import intersection_over_union

PRESETS = ("trdimp", "trsiam", "trdimp_vot", "compact")
MODES = (("float32", torch.float32, False), ("float32", torch.float32, True), ("float16", torch.float16, True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: torch.cuda.is_available() is False")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.frames} frames, memories full")
    agreement()
    presets_and_modes(options.presets, options.frames)
    target_counts(options.presets[0], max(options.frames // 5, 20))


def agreement() -> None:
    """The bundled network on the rendered scene: the same on the GPU as on the processor?"""
    scene, (network, _) = RenderedScene(), default_network("compact")
    frames = [scene.frame(index) for index in range(100)]

    def run(device: str, dtype: torch.dtype) -> list[TrackResult]:
        tracker = Tracker(network, preset("compact"), device, dtype)
        tracker.initialize(frames[0], scene.box(0))
        return [tracker.track(frame) for frame in frames[1:]]

    exact = run("cpu", torch.float32)
    print(f"\n{'compact on the GPU':<20}{'mean IoU with the processor':>28}{'same state':>12}")
    for name, dtype in (("float32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        pairs = list(zip(exact, run("cuda", dtype), strict=True))
        overlap = sum(intersection_over_union(one.box, other.box) for one, other in pairs) / len(pairs)
        same = sum(one.state == other.state for one, other in pairs) / len(pairs)
        print(f"{name:<20}{overlap:>28.3f}{same:>12.3f}", flush=True)


def presets_and_modes(presets: list[str], frames: int) -> None:
    """Time of a frame; the last column compares with float32 without graphs of the same preset."""
    device, scene = torch.device("cuda"), RenderedScene()
    print(
        f"\n{'preset':<12}{'precision':<10}{'graphs':<8}{'locate ms':>10}{'p99':>8}{'learn ms':>10}{'init ms':>9}"
        f"{'units':>8}{'faster':>8}"
    )
    for name in presets:
        network, _ = default_network(name)
        base = 0.0
        for precision, dtype, graphs in MODES:
            tracker = MultiTracker(network, preset(name), 1, device, dtype, graphs=graphs)
            count = frames if graphs else max(frames // 10, 20)
            unit = UnitClock(network, device)
            report = measure(tracker, scene.frame(0), scene.box(0), count, unit=unit, progress=False)
            locate, learn = report["locate"], report["learn"]["per_frame_ms"]
            total = locate["median_ms"] + learn
            base = base or total
            print(
                f"{name:<12}{precision:<10}{tracker.uses_graphs!s:<8}{locate['median_ms']:>10.2f}{locate['p99_ms']:>8.2f}"
                f"{learn:>10.2f}{report['initialize_ms']:>9.0f}{report['backbone_units']:>8.2f}{base / total:>8.1f}",
                flush=True,
            )


def target_counts(name: str, frames: int) -> None:
    """Time of a frame with several targets, float16 with graphs."""
    network, _ = default_network(name)
    scene = RenderedScene()
    print(f"\n{name + ', targets':<20}{'locate ms':>10}{'frame ms':>10}{'to the first':>14}")
    base = 0.0
    for count in (1, 2, 4, 8):
        tracker = MultiTracker(network, preset(name), count, "cuda", torch.float16)
        report = measure(tracker, scene.frame(0), scene.box(0), frames, count, progress=False)
        mean = report["frame"]["per_frame_ms"]
        base = base or mean
        print(f"{count:<20}{report['locate']['median_ms']:>10.2f}{mean:>10.2f}{mean / base:>14.2f}", flush=True)


if __name__ == "__main__":
    main()
