"""Eight targets in one node, and a flood of inits on one of them, over real DDS.

    make run-benchmark NAME=ros_many_targets ARGS="--targets 8 --rate 10 --seconds 30"

A camera of 640x480 publishes faster than eight targets can be tracked. First nothing else happens; then, for as long
again, the last target is started anew with every image and many times over. Printed for both: images sent, received,
processed and dropped (received = processed + dropped), how many of the processed ones each target has a state for, and
how late the states of the other targets came. With the bundled weights, or those of --weights.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from trdimp_ros.media.scene_script import SceneScript
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.ros.messages import nanoseconds
from trdimp_ros.testing.ros_harness import Client, System, running_system
from trdimp_ros.tracking import Box

COUNTS = ("images received", "images processed", "images dropped")
REPORT_SECONDS = 1.5
"""The node reports once a second."""


@dataclass
class Phase:
    """What was counted while one thing went on.

    Attributes:
        sent: Images.
        inits: Inits.
        counts: Those of `COUNTS`, from the node's diagnostics.
        latencies: Milliseconds from image to state, by the targets' ids.
    """

    sent: int = 0
    inits: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)


class Measurement:
    """A tracker, and a camera that knows where the targets are.

    Args:
        system: Nodes and client.
        options: Of the command line.
    """

    def __init__(self, system: System, options: argparse.Namespace) -> None:
        script = SceneScript(targets=options.targets, frames=100, seed=1)
        scene = ScriptedScene(script)
        self.frames = [scene.frame(index) for index in range(50)]
        self.boxes: dict[str, Box] = {}
        for number in range(options.targets):
            box = scene.box(0, number)
            assert box is not None
            self.boxes[str(number + 1)] = box
        self.flooded = str(options.targets)
        self.client: Client = system.client
        self._options = options
        self._reports: list[DiagnosticArray] = []
        self.client.create_subscription(DiagnosticArray, "/diagnostics", self._reports.append, 10)

    def begin(self) -> None:
        """Start all targets in the first image."""
        message = self.client.send_image(self.frames[0])
        for name, box in self.boxes.items():
            self.client.send_init(box, message.header, name)
        self.client.spin_until(lambda: {state.target_id for state in self.client.states} >= set(self.boxes), 300)

    def run(self, inits_per_image: int) -> Phase:
        """Send images for the time of the options, with so many inits of the flooded target beside each of them."""
        phase, before, first = Phase(), self._counts(), len(self.client.states)
        begun = time.monotonic()
        while time.monotonic() - begun < self._options.seconds:
            self.client.send_image(self.frames[phase.sent % len(self.frames)])
            phase.sent += 1
            for number in range(inits_per_image):
                x, y, w, h = self.boxes[self.flooded]
                self.client.send_init((x + number / 100, y, w, h), target=self.flooded)
                phase.inits += 1
            self.client.spin_for(max(0.0, begun + phase.sent / self._options.rate - time.monotonic()))
        self.client.spin_for(REPORT_SECONDS)
        after = self._counts()
        phase.counts = {name: after[name] - before[name] for name in COUNTS}
        arrived = zip(self.client.states[first:], self.client.arrivals[first:], strict=True)
        for state, arrival in arrived:
            latency = (arrival - nanoseconds(state.header.stamp)) / 1e6
            phase.latencies.setdefault(state.target_id, []).append(latency)
        return phase

    def _counts(self) -> dict[str, int]:
        seen = len(self._reports)
        self.client.spin_until(lambda: len(self._reports) > seen + 1)  # one that was made after this was asked
        values = {pair.key: pair.value for pair in self._reports[-1].status[0].values}
        return {name: int(values[name]) for name in COUNTS}


def report(title: str, phase: Phase, flooded: str) -> None:
    """Print one phase.

    Args:
        title: What went on.
        phase: What was counted.
        flooded: The id of the target that does not count among the others.
    """
    others = [values for name, values in phase.latencies.items() if name != flooded]
    latencies = [value for values in others for value in values]
    counts = ", ".join(f"{name.removeprefix('images ')} {value}" for name, value in phase.counts.items())
    print(f"{title}: images sent {phase.sent}, {counts}; inits {phase.inits}")
    print(
        f"  states of each other target {min(map(len, others))} to {max(map(len, others))}, of the flooded one "
        f"{len(phase.latencies.get(flooded, []))}; latency of the others p50 {np.median(latencies):.0f}, "
        f"p99 {np.percentile(latencies, 99):.0f}, largest {max(latencies):.0f} ms"
    )


def main() -> None:
    """Measure without and with a flood."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--rate", type=float, default=10.0, help="images a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--inits", type=int, default=20, help="beside each image of the flood")
    parser.add_argument("--weights", default="", help="default: the bundled ones")
    options = parser.parse_args()
    parameters = {
        "preset": "compact",
        "model__weights": options.weights or "''",
        "max_targets": options.targets,
        "tracker__image_sample_size": 256,
        "tracker__target_not_found_threshold": 0.2,
        "tracker__distractor_threshold": 0.8,
        "tracker__reacquire_budget": 2,
        "tracker__exclusivity_overlap": 0.5,
        "tracker__camera_motion": "auto",
    }
    with tempfile.TemporaryDirectory() as name, running_system(Path(name), Path("unused")) as system:
        tracker = system.start_tracker(**parameters)
        measurement = Measurement(system, options)
        measurement.begin()
        quiet = measurement.run(inits_per_image=0)
        flood = measurement.run(options.inits)
        assert tracker.process.poll() is None, tracker.output
    report("nothing else", quiet, measurement.flooded)
    report(f"a flood on target {measurement.flooded}", flood, measurement.flooded)


if __name__ == "__main__":
    main()
