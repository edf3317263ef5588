"""How does the node behave when the camera is faster than the tracker? 60 images per second against the full network.

    make run-benchmark NAME=ros_under_load

Prints latency of the published states, counts, memory, and the time that `ros2 param set`-like calls take meanwhile.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.ros.messages import nanoseconds
from trdimp_ros.testing.ros_harness import running_system

SECONDS = 60.0
RATE = 60.0


def main() -> None:
    scene = RenderedScene(640, 480)
    frame, box = scene.frame(0), scene.box(0)
    parameters = {"model__weights": "''", "tracker__image_sample_size": 352, "tracker__use_iou_net": False}
    with tempfile.TemporaryDirectory() as name, running_system(Path(name), Path("unused")) as system:
        client = system.client
        reports: list[DiagnosticArray] = []
        client.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
        tracker = system.start_tracker(**parameters)
        client.begin(frame, tuple(box))
        client.track(frame)
        memory, before, sent, answers = tracker.memory, len(client.states), 0, []
        start = time.monotonic()
        while (now := time.monotonic()) - start < SECONDS:
            client.send_image(frame)
            sent += 1
            if sent % 30 == 0:
                asked = time.monotonic()
                client.set_parameters(tracker__hard_negative_threshold=0.5 + 0.001 * (sent % 100))
                answers.append(1e3 * (time.monotonic() - asked))
            client.spin_for(max(0.0, start + sent / RATE - time.monotonic()))
        elapsed = now - start
        growth = tracker.memory - memory
        client.spin_for(1.5)
        values = {pair.key: pair.value for pair in reports[-1].status[0].values}
    states = client.states[before:]
    latencies = [
        (arrival - nanoseconds(state.header.stamp)) / 1e6
        for arrival, state in zip(client.arrivals[before:], states, strict=True)
    ]
    period = 1e3 * elapsed / len(states)
    rows = {
        "images sent": sent,
        "images received": values["images received"],
        "images processed": values["images processed"],
        "images dropped": values["images dropped"],
        "tracking period ms (mean)": f"{period:.1f}",
        "latency p50 ms": f"{np.median(latencies):.1f}",
        "latency p99 ms": f"{np.percentile(latencies, 99):.1f}",
        "latency max ms": f"{max(latencies):.1f}",
        "memory growth MB": f"{growth / 1e6:.1f}",
        "parameter answers": len(answers),
        "parameter answer p50 ms": f"{np.median(answers):.1f}",
        "parameter answer p99 ms": f"{np.percentile(answers, 99):.1f}",
    }
    for label, value in rows.items():
        print(f"{label:<28}{value:>12}")


if __name__ == "__main__":
    main()
