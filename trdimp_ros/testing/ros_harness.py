"""Real nodes in processes of their own, and a client in the test, talking over DDS in a domain of their own."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2D

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.messages import box_message, nanoseconds
from trdimp_ros.tracking import Box

TIMEOUT = 60.0
_domains = itertools.count(1)

TINY_PARAMETERS = {
    "preset": "trdimp",  # what tiny_config() in tiny.py starts from
    "tracker.image_sample_size": 96,
    "tracker.target_not_found_threshold": -1.0,
    "tracker.distractor_threshold": 100.0,
}


def new_domain() -> int:
    """A ROS domain for one test, unlikely to be anybody else's."""
    return (os.getpid() * 7 + next(_domains)) % 100 + 1


def remove_abandoned_shared_memory() -> int:
    """Remove what killed processes left in /dev/shm, as `fastdds shm clean` does; returns the number of segments.

    A killed participant leaves its segment (64 MB with the profile for large images) in memory for good: a few hundred
    killed nodes fill a machine. A living participant holds a lock on its segment's ``_el`` file.
    """
    removed = 0
    for lock in Path("/dev/shm").glob("fastdds_*_el"):
        with contextlib.suppress(OSError), lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            name = lock.name.removesuffix("_el")
            for path in (lock, lock.with_name(name), lock.with_name(f"sem.{name}_mutex")):
                path.unlink(missing_ok=True)
            removed += 1
    return removed


class NodeProcess:
    """A node as a process. Its output is collected in a file."""

    def __init__(
        self,
        name: str,
        log: Path,
        domain: int,
        parameters: dict[str, Any],
        remappings: dict[str, str],
        ros_arguments: Sequence[str] = (),
    ) -> None:
        arguments = ["--ros-args", *ros_arguments]
        for key, value in parameters.items():
            arguments += ["-p", f"{key}:={_yaml(value)}"]
        for old, new in remappings.items():
            arguments += ["-r", f"{old}:={new}"]
        self.name, self._log = name, log
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "PYTHONUNBUFFERED": "1"}
        environment.pop("DISPLAY", None)
        self._file = log.open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"trdimp_ros.ros.{name}_node", *arguments],
            env=environment,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        return self._log.read_text()

    @property
    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def interrupt(self, timeout: float = 10.0) -> int:
        """SIGINT; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._file.close()


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class Client(Node):
    """A camera and a consumer in one: publishes images and inits, collects states."""

    def __init__(self, context: Context) -> None:
        super().__init__("client", context=context)
        self.executor_ = SingleThreadedExecutor(context=context)
        self.executor_.add_node(self)
        self.states: list[TrackState] = []
        self.arrivals: list[int] = []
        self.service_clients: dict[str, Any] = {}
        self.images = self.create_publisher(Image, "image", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
        self.inits = self.create_publisher(Detection2D, "tracker/init", 10)
        self.create_subscription(TrackState, "tracker/state", self._on_state, 100)

    def _on_state(self, message: TrackState) -> None:
        self.states.append(message)
        self.arrivals.append(self.get_clock().now().nanoseconds)

    def spin_until(self, done: Callable[[], Any], timeout: float = TIMEOUT) -> None:
        """Spin until the condition holds; fails after the timeout."""
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, "timed out"
            self.executor_.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor_.spin_once(timeout_sec=0.02)

    def call(self, kind: Any, name: str, request: Any, timeout: float = TIMEOUT) -> Any:
        """Call a service and wait for the answer."""
        if name not in self.service_clients:
            self.service_clients[name] = self.create_client(kind, name)
            self.spin_until(self.service_clients[name].service_is_ready, timeout)
            self.spin_for(0.5)  # ready means that requests arrive; answers may still be lost until discovery is done
        client = self.service_clients[name]
        self.spin_until(client.service_is_ready, timeout)
        future = client.call_async(request)
        self.spin_until(future.done, timeout)
        return future.result()

    def change_state(self, transition: int) -> bool:
        return self.call(
            ChangeState, "tracker/change_state", ChangeState.Request(transition=Transition(id=transition))
        ).success

    def lifecycle_state(self) -> int:
        return self.call(GetState, "tracker/get_state", GetState.Request()).current_state.id

    def wait_for_state(self, state: int) -> None:
        self.spin_until(lambda: self.lifecycle_state() == state)

    def set_parameters(self, node: str = "tracker", **values: Any) -> tuple[bool, str]:
        """As `ros2 param set`, all or nothing; ``__`` stands for a point in a name."""
        request = SetParametersAtomically.Request()
        request.parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg() for name, value in values.items()
        ]
        result = self.call(SetParametersAtomically, f"{node}/set_parameters_atomically", request).result
        return result.successful, result.reason

    def get_parameter_value(self, name: str, node: str = "tracker") -> ParameterValue:
        return self.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=[name])).values[0]

    def send_image(self, pixels: Any, stamp: int | None = None, encoding: str = "rgb8") -> Image:
        """Publish an image; the stamp in nanoseconds, None: now."""
        message = encode_image(pixels, encoding, self.header(stamp))
        self.images.publish(message)
        return message

    def build_image(self, pixels: Any) -> Image:
        """An image without stamp, not published."""
        return encode_image(pixels, "rgb8", self.header(0))

    def header(self, stamp: int | None = None) -> Any:
        from std_msgs.msg import Header  # noqa: PLC0415

        header = Header(frame_id="camera")
        if stamp is None:
            header.stamp = self.get_clock().now().to_msg()
        else:
            header.stamp.sec, header.stamp.nanosec = divmod(stamp, 10**9)
        return header

    def send_init(self, box: tuple[float, float, float, float], header: Any = None, target: str = "") -> None:
        self.inits.publish(Detection2D(header=header or self.header(0), bbox=box_message(Box(*box)), id=target))

    def track(self, pixels: Any, stamp: int | None = None) -> TrackState:
        """Publish an image and wait for its state."""
        message = self.send_image(pixels, stamp)
        wanted = nanoseconds(message.header.stamp)
        self.spin_until(lambda: any(nanoseconds(state.header.stamp) == wanted for state in self.states))
        return next(state for state in reversed(self.states) if nanoseconds(state.header.stamp) == wanted)

    def begin(self, pixels: Any, box: tuple[float, float, float, float], target: str = "") -> TrackState:
        """Publish an image with an init for it and wait for the target's first state."""
        before = len(self.states)
        message = self.send_image(pixels)
        self.send_init(box, message.header, target)
        self.spin_until(lambda: any(state.state != TrackState.IDLE for state in self.states[before:]))
        return self.states[-1]


class System:
    """All nodes and the client of one test."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.domain = new_domain()
        self._folder, self._weights = folder, weights
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.client = Client(self._context)
        self._processes: list[NodeProcess] = []

    def start(
        self,
        name: str,
        parameters: dict[str, Any] | None = None,
        remappings: dict[str, str] | None = None,
        ros_arguments: Sequence[str] = (),
    ) -> NodeProcess:
        log = self._folder / f"{name}_{len(self._processes)}.log"
        process = NodeProcess(name, log, self.domain, parameters or {}, remappings or {}, ros_arguments)
        self._processes.append(process)
        return process

    def start_tracker(self, active: bool = True, **parameters: Any) -> NodeProcess:
        """The tracker with the tiny network; ``__`` stands for a point in a name."""
        given = {name.replace("__", "."): value for name, value in parameters.items()}
        process = self.start("tracker", TINY_PARAMETERS | {"model.weights": self._weights} | given)
        if active:
            self.client.wait_for_state(State.PRIMARY_STATE_ACTIVE)
            self.client.spin_until(lambda: self.client.images.get_subscription_count() > 0)
            self.client.spin_until(lambda: self.client.inits.get_subscription_count() > 0)
            self.client.spin_until(lambda: self.client.count_publishers("tracker/state") > 0)
            self.client.spin_for(0.3)  # until discovery is done on the other side as well
        return process

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        self.client.executor_.shutdown()
        self.client.destroy_node()
        with contextlib.suppress(Exception):
            self._context.shutdown()
        remove_abandoned_shared_memory()


@contextlib.contextmanager
def running_system(folder: Path, weights: Path) -> Iterator[System]:
    system = System(folder, weights)
    try:
        yield system
    finally:
        system.close()
