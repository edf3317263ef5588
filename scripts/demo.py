"""`make demo`: what demo.launch.py starts, as plain processes, for machines without `ros2 launch`.

Camera, tracker and follower are three processes that talk over DDS. The camera starts the tracker on its first image
and ends with a summary line and a contact sheet. Arguments go to the camera as parameters:
`scripts/demo.py source:=FOLDER`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from ament_index_python.packages import get_package_prefix, get_package_share_directory

SHEET = Path("out/ros_demo.png")
RATE = 10.0


def start(name: str, *arguments: str, **options: object) -> subprocess.Popen:
    executable = Path(get_package_prefix("trdimp_ros"), "lib", "trdimp_ros", name)
    return subprocess.Popen([str(executable), "--ros-args", *arguments], **options)


def main() -> int:
    SHEET.parent.mkdir(exist_ok=True)
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100))
    camera_arguments = ["source:=two_targets", f"rate:={RATE}", f"contact_sheet:={SHEET}", *sys.argv[1:]]
    print(f"camera, tracker and follower: 200 frames of a rendered scene with two targets at {RATE:g} Hz", flush=True)
    settings = Path(get_package_share_directory("trdimp_ros"), "config", "demo.yaml")
    tracker = start("tracker_node", "--log-level", "warn", "--params-file", str(settings))
    follow = start("follow_node", "--log-level", "error")
    camera = start("camera_node", *(word for pair in camera_arguments for word in ("-p", pair)))
    try:
        code = camera.wait()
    except KeyboardInterrupt:
        code = 130
    finally:
        for process in (camera, follow, tracker):
            process.send_signal(signal.SIGINT)
        codes = [process.wait(timeout=10) for process in (follow, tracker)]
    if code == 0:
        print(f"wrote {SHEET}")
    return code or max(codes)


if __name__ == "__main__":
    sys.exit(main())
