"""Does a detector that sees the target rarely and late keep a session alive? Three processes over real DDS.

    make run-benchmark NAME=late_detector
    make run-benchmark NAME=late_detector ARGS="--losses 20 --every 30 --stride 2"

The target of a rendered scene leaves the image again and again and returns elsewhere in another size. The tracker is
told of it only by a detector, a process of its own, that looks at every 30th image and says what it saw 300 ms later.
Prints how often the target was found again under its id, after how many images, and every other id that was given.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State

from trdimp_ros.testing.late_detector import LateDetection, command, show_all
from trdimp_ros.testing.ros_harness import running_system

STARTING_SECONDS = 300.0
"""A machine that does other things as well takes its time to start two processes."""
CYCLE = 200
"""Frames of the scene from one loss to the next, besides the absence itself."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", type=int, default=20)
    parser.add_argument("--longest", type=int, default=30, help="longest absence, frames of the scene")
    parser.add_argument("--every", type=int, default=30, help="the detector looks at every so many images")
    parser.add_argument("--late", type=int, default=300, help="milliseconds")
    parser.add_argument("--stride", type=int, default=1, help="show every so many frames of the scene")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=960, help="in a wide image a target returns far away")
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--auto-init", default="all", choices=["all", "idle", "lost"])
    parser.add_argument("--search", type=int, default=0, help="reacquire_budget: the tracker's own search beside it")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds for the states of an image")
    options = parser.parse_args()
    plan = LateDetection(
        frames=options.losses * (CYCLE + options.longest),
        absences=options.losses,
        **{name: getattr(options, name) for name in ("longest", "seed", "width", "height", "stride", "every", "late")},
    )
    parameters = {
        "preset": "compact",
        "max_targets": 4,
        "frame_buffer": 60.0,
        "image_qos_reliability": "reliable",
        "candidates.auto_init": options.auto_init,
        "tracker.reacquire_budget": options.search,
    }
    reports: list[DiagnosticArray] = []
    with tempfile.TemporaryDirectory() as folder, running_system(Path(folder), Path("unused")) as system:
        client = system.client
        client.create_subscription(DiagnosticArray, "/diagnostics", reports.append, 10)
        environment = os.environ | {"ROS_DOMAIN_ID": str(system.domain)}
        detector = subprocess.Popen(command(plan), env=environment)
        try:
            system.start("tracker", parameters)
            client.spin_until(lambda: client.images.get_subscription_count() == 2, STARTING_SECONDS)
            client.wait_for_state(State.PRIMARY_STATE_ACTIVE)
            client.spin_until(lambda: client.count_publishers("tracker/state") > 0)
            client.spin_for(0.5)
            begun = time.monotonic()
            judge = show_all(client, plan, options.patience)
            client.spin_for(2.0)
        finally:
            detector.kill()
            detector.wait()
    found = [delay for delay in judge.delays if delay is not None]
    values = {pair.key: pair.value for pair in reports[-1].status[0].values}
    rows = {
        "images": plan.images,
        "losses of a target that was followed": judge.losses,
        "returns found again under the first id": f"{len(found)} of {len(judge.delays)}",
        "delay, images: median, longest": f"{np.median(found):.0f}, {max(found)}" if found else "-",
        "ids given": ", ".join(judge.ids),
        "images in which something else was said to be it": judge.wrong,
        "images without the target": judge.absent,
        "mean overlap where it was seen": f"{np.mean(judge.overlaps):.3f}" if judge.overlaps else "-",
        "seconds": f"{time.monotonic() - begun:.0f}",
        **{key: value for key, value in values.items() if "candidate" in key},
    }
    for name, value in rows.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
