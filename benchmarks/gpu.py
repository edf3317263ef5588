"""How fast on a GPU? Presets, precisions, with and without CUDA graphs, in one run of a few minutes on a CUDA machine.

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
from trdimp_ros.tracking import MultiTracker, preset

PRESETS = ("trdimp", "trsiam", "trdimp_vot", "compact")
MODES = (("float32", torch.float32, False), ("float32", torch.float32, True), ("float16", torch.float16, True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS))
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device: torch.cuda.is_available() is False")
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {options.frames} frames, memories full")
    print(
        f"{'preset':<12}{'precision':<10}{'graphs':<8}{'locate ms':>10}{'p99':>8}{'learn ms':>10}{'init ms':>9}"
        f"{'units':>8}{'faster':>8}"
    )
    scene = RenderedScene()
    for name in options.presets:
        network, _ = default_network(name)
        base = 0.0
        for precision, dtype, graphs in MODES:
            tracker = MultiTracker(network, preset(name), 1, device, dtype, graphs=graphs)
            frames = options.frames if graphs else max(options.frames // 10, 20)
            unit = UnitClock(network, device)
            report = measure(tracker, scene.frame(0), scene.box(0), frames, unit=unit, progress=False)
            locate, learn = report["locate"], report["learn"]["per_frame_ms"]
            total = locate["median_ms"] + learn
            base = base or total
            print(
                f"{name:<12}{precision:<10}{tracker.uses_graphs!s:<8}{locate['median_ms']:>10.2f}{locate['p99_ms']:>8.2f}"
                f"{learn:>10.2f}{report['initialize_ms']:>9.0f}{report['backbone_units']:>8.2f}{base / total:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
