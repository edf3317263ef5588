"""Does a larger image cost more? Only the search area is read, so it should not.

make run-benchmark NAME=image_sizes ARGS="[--preset compact] [--frames 100]"
"""

from __future__ import annotations

import argparse

from trdimp_ros.cli.bench import measure
from trdimp_ros.cli.options import add_tracker_arguments, build_multi_tracker
from trdimp_ros.media.scene import RenderedScene

SIZES = {"VGA": (640, 480), "1080p": (1920, 1080), "4K": (3840, 2160)}


def main() -> None:
    parser = argparse.ArgumentParser()
    add_tracker_arguments(parser)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    print(f"{'image':<8}{'locate median ms':>18}{'frame mean ms':>15}{'to VGA':>8}")
    base = 0.0
    for name, (width, height) in SIZES.items():
        scene = RenderedScene(width, height)
        report = measure(build_multi_tracker(options, 1), scene.frame(0), scene.box(0), options.frames)
        mean = report["frame"]["per_frame_ms"]
        base = base or mean
        print(f"{name:<8}{report['locate']['median_ms']:>18.1f}{mean:>15.1f}{mean / base:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
