"""What does each further target cost? Their search areas go through the network together.

make run-benchmark NAME=target_counts ARGS="[--preset compact] [--frames 60] [--counts 1 2 4 8]"
"""

from __future__ import annotations

import argparse

from trdimp_ros.cli.bench import measure
from trdimp_ros.cli.options import add_tracker_arguments, build_multi_tracker
from trdimp_ros.media.scene import RenderedScene


def main() -> None:
    parser = argparse.ArgumentParser()
    add_tracker_arguments(parser)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4, 8])
    options = parser.parse_args()
    scene = RenderedScene()
    print(f"{'targets':<8}{'locate median ms':>18}{'frame mean ms':>15}{'a target':>10}{'to the first':>14}")
    base = 0.0
    for count in options.counts:
        tracker = build_multi_tracker(options, count)
        report = measure(tracker, scene.frame(0), scene.box(0), options.frames, count)
        mean = report["frame"]["per_frame_ms"]
        base = base or mean
        print(
            f"{count:<8}{report['locate']['median_ms']:>18.1f}{mean:>15.1f}{mean / count:>10.1f}{mean / base:>14.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
