"""What does ROS cost? Time from message to message less the tracker's own `locate`, at two image sizes.

    make run-benchmark NAME=ros_overhead

The camera stamps an image when it is complete, right before publishing; the consumer, in the same process as the
camera, takes the time when the state arrives. The tracker is a process of its own, with a tiny network so that its own
time is small and steady. `locate` is the sum of its stage means in /diagnostics, `node` what the node adds between the
image's arrival in its callback and the end of publishing (queue, decoding, messages), `transport` the rest: DDS and
rclpy's conversions on both sides. Images come one at a time, so that none waits for the tracker.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from trdimp_ros.checkpoints.weights import save_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.ros.messages import nanoseconds
from trdimp_ros.testing.ros_harness import running_system
from trdimp_ros.testing.tiny import tiny_network

SIZES = ((640, 480), (1920, 1080))
FRAMES = 150
LOCATE = ("crop", "backbone", "features", "decoder", "scores", "box features", "refinement", "decision")


NODE = ("queue and decode", "publish")
PAUSE = 0.08
"""Seconds between two images; longer than `learn` takes here."""


def measure(width: int, height: int, weights: Path, folder: Path) -> tuple[float, float, float, float]:
    """Median and 99th percentile of message to message, means of locate and of the node's part, in milliseconds."""
    scene = RenderedScene(width, height)
    frame, box = scene.frame(0), scene.box(0)
    with running_system(folder, weights) as system:
        client = system.client
        reports: list[DiagnosticArray] = []
        client.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
        system.start_tracker()
        client.begin(frame, tuple(box))
        times = []
        for _ in range(FRAMES):
            client.spin_for(PAUSE)
            message = client.build_image(frame)
            message.header = client.header()
            count = len(client.states)
            client.images.publish(message)
            client.spin_until(lambda count=count: len(client.states) > count)
            times.append((client.arrivals[-1] - nanoseconds(message.header.stamp)) / 1e6)
        client.spin_for(1.2)
        values = {pair.key: pair.value for pair in reports[-1].status[0].values}
        locate = sum(float(values[f"stage {name} ms"]) for name in LOCATE)
        node = sum(float(values[f"stage {name} ms"]) for name in NODE)
    return float(np.median(times)), float(np.percentile(times, 99)), locate, node


def main() -> None:
    print(f"ms, {FRAMES} frames")
    print(f"{'image':<12}{'message to message':>20}{'p99':>8}{'locate':>9}{'node':>8}{'transport':>11}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "tiny.safetensors"
        save_network(tiny_network(), weights)
        for width, height in SIZES:
            median, high, locate, node = measure(width, height, weights, folder)
            rest = median - locate - node
            print(f"{f'{width}x{height}':<12}{median:>20.2f}{high:>8.2f}{locate:>9.2f}{node:>8.2f}{rest:>11.2f}")


if __name__ == "__main__":
    main()
