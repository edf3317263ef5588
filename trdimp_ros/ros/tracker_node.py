"""The lifecycle node `tracker`: images in, boxes out."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from trdimp_ros.checkpoints import WeightsInfo
from trdimp_ros.parameters import parameter_values
from trdimp_ros.ros.building import build_tracker, weights_warning
from trdimp_ros.ros.diagnostics import diagnostic_status, pairs, unconfigured_status
from trdimp_ros.ros.init_inputs import InitInputs
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.publishers import ResultPublishers
from trdimp_ros.ros.running import run_node
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters, tracker_defaults
from trdimp_ros.ros.tracking_worker import TrackingWorker
from trdimp_ros.sessions import REAL_TIME, BufferLimits, Candidate, TrackingSession
from trdimp_ros.srv import DropTarget
from trdimp_ros.tracking import preset
from trdimp_ros.tracking.devices import threads_in_use

EXIT_PATIENCE = 1.0
"""Seconds that a signal's exit waits for the running frame. An initialisation can take longer than that."""

SILENCE_SECONDS = 3.0
"""An active node that gets no image for so long says so."""

NOT_CONFIGURED = "the node is not configured"

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TrackerNode(ParameterNode[TrackerNodeParameters], LifecycleNode):
    """Wires topics, services, parameters and transitions to a `TrackingWorker`."""

    def __init__(self) -> None:
        super().__init__("tracker", tracker_defaults)
        self._preset = self.parameters.preset
        self._worker: TrackingWorker | None = None
        self._outputs: ResultPublishers | None = None
        self._statistics = Statistics()
        self._weights = WeightsInfo("none")
        self._device = torch.device("cpu")
        self._images: Any = None
        self._inits: InitInputs | None = None
        self._active_since: float | None = None  # seconds of the monotonic clock
        self._time_jumped = self._silence_said = False
        self._failure = ""
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(DropTarget, "~/drop", self._on_drop)
        self.create_service(SetBool, "~/set_enabled", self._on_set_enabled)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # The node's own clock may stand still: a simulation that is paused, or has not started.
        self.create_timer(1.0, self._publish_diagnostics, clock=Clock(clock_type=ClockType.STEADY_TIME))

    # Parameters

    def why_fixed(self) -> str | None:
        """While configured, only thresholds and rates of the tracker can change."""
        if self._worker is None:
            return None
        return "is fixed while the node is configured; call the lifecycle transition cleanup first"

    def on_parameters_changed(self) -> None:
        """Hand the tracker's and the candidates' parameters on; they are in force from the next image."""
        if self._worker is not None:
            self._worker.session.set_config(self.parameters.tracker)
            self._worker.session.set_hand_off(self.parameters.candidates)

    def _adopt_preset(self) -> None:
        """After a change of `preset`: parameters that were at the old preset's values move to the new one's."""
        name = self.parameters.preset
        if name == self._preset:
            return
        old, new = parameter_values(preset(self._preset)), parameter_values(preset(name))
        now = parameter_values(self.parameters.tracker)
        untouched = {key: new[key] for key in old if now[key] == old[key] != new[key]}
        self.change_parameters({f"tracker.{key}": value for key, value in untouched.items()})
        self._preset = name

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights, build the tracker on the device, warm up."""
        try:
            self._adopt_preset()
            tracker, weights = build_tracker(self.parameters)
        except (ValueError, OSError) as error:
            return self._configure_failed(f"configure failed: {error}")
        except torch.cuda.OutOfMemoryError as error:
            return self._configure_failed(f"configure failed: out of device memory: {error}")
        except Exception as error:  # rclpy would swallow it
            return self._configure_failed(f"configure failed unexpectedly ({type(error).__name__}: {error})")
        self._failure = ""
        if warning := weights_warning(weights, self._preset):
            self.get_logger().warning(warning)
        self._weights, self._device = weights, tracker.device
        self._statistics = statistics = Statistics()
        tracker.stage = statistics.stage_done
        limits = BufferLimits(frame_buffer=self.parameters.frame_buffer)
        session = TrackingSession(tracker, limits, REAL_TIME, stage=statistics.stage_done)
        session.set_hand_off(self.parameters.candidates)
        self._outputs = ResultPublishers(self, session.score_map, statistics)
        self._worker = TrackingWorker(session, statistics, self._outputs.publish, self.get_logger().warning)
        self.get_logger().info(f"configured: weights {weights.name}, device {tracker.device}, preset {self._preset}")
        return SUCCESS

    def _configure_failed(self, reason: str) -> TransitionCallbackReturn:
        self._failure = reason
        self.get_logger().error(reason)
        return FAILURE

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
        assert self._worker is not None
        result = super().on_activate(state)
        reliable = self.parameters.image_qos_reliability == "reliable"
        image_qos = QoSProfile(
            depth=1,
            history=HistoryPolicy.KEEP_LAST,
            reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        )
        if self.parameters.image_transport == "compressed":
            image_type, image_topic = CompressedImage, "image/compressed"
        else:
            image_type, image_topic = Image, "image"
        self._images = self.create_subscription(image_type, image_topic, self._on_image, image_qos)
        self._inits = InitInputs(self, self._worker.initialize, self._on_candidates)
        self._active_since, self._silence_said = time.monotonic(), False
        self.get_logger().info(f"active: images from {self.resolve_topic_name(image_topic)}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop taking images; the targets are kept."""
        self._drop_inputs()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the device."""
        self.release()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self.release()
        return SUCCESS

    def release(self, patience: float | None = None) -> None:
        """Stop the thread, waiting this many seconds at most, and drop everything that configure made."""
        self._drop_inputs()
        if self._worker is not None:
            self._worker.stop(patience)
            self._worker = None
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _drop_inputs(self) -> None:
        if self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None
        if self._inits is not None:
            self._inits.destroy()
            self._inits = None
        if self._worker is not None:
            self._worker.session.forget_images()
        self._active_since = None

    def autostart(self) -> None:
        """Walk to active where the parameter asks for it; a failed configure leaves the node unconfigured."""
        if self.parameters.autostart and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # Topics and services

    def _on_image(self, message: Image | CompressedImage) -> None:
        assert self._worker is not None
        forwards = self._worker.take_image(message, self.get_clock().now().nanoseconds)
        if not forwards and not self._time_jumped:
            self._time_jumped = True
            self.get_logger().warning(
                "image stamps went backwards (a bag that loops? a simulation's reset?); tracking on"
            )

    def _on_candidates(self, candidates: Sequence[Candidate], stamp: int) -> None:
        assert self._worker is not None
        if self.parameters.candidates.auto_init == "off":
            self.get_logger().warning("candidates arrive and are not used: candidates.auto_init is off", once=True)
        self._worker.suggest(candidates, stamp)

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._worker is not None
        response.message = NOT_CONFIGURED
        if self._worker is not None:
            self._worker.session.reset()
            response.message = "all targets forgotten"
        return response

    def _on_drop(self, request: DropTarget.Request, response: DropTarget.Response) -> DropTarget.Response:
        response.success, response.message = False, NOT_CONFIGURED
        if self._worker is not None:
            response.success = self._worker.session.drop(request.id)
            known = ", ".join(target.id for target in self._worker.session.targets)
            forgotten, unknown = f"target {request.id[:40]!r} forgotten", f"there is no target {request.id[:40]!r}"
            response.message = f"{forgotten if response.success else unknown}; there are: {known or 'none'}"
        return response

    def _on_set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._worker is not None
        response.message = NOT_CONFIGURED
        if self._worker is not None:
            self._worker.enabled = request.data
            response.message = "tracking" if request.data else "paused; the targets are kept"
        return response

    # Diagnostics

    def _publish_diagnostics(self) -> None:
        name = f"{self.get_fully_qualified_name().lstrip('/')}: tracking"
        if self._worker is None:
            status = unconfigured_status(name, self._failure)
        else:
            health = self._worker.health(self._silence(self._worker.session.seconds_without_image))
            status = diagnostic_status(name, str(self._device), self._statistics, health)
            machine = {
                "device": str(self._device),
                "threads": str(threads_in_use()),
                "weights": self._weights.name,
                "weights SHA-256": self._weights.sha256,
            }
            status.values = [*status.values, *pairs(machine)]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def _silence(self, since_image: float | None) -> float | None:
        """The seconds without an image if they are too many; says so once for each silence."""
        if self._active_since is None or self._images is None:
            return None
        active = time.monotonic() - self._active_since
        silence = active if since_image is None else min(since_image, active)
        if silence < SILENCE_SECONDS:
            self._silence_said = False
            return None
        if not self._silence_said:
            self._silence_said = True
            self.get_logger().warning(
                f"no image has arrived on {self._images.topic_name} for {silence:.0f} s; does the camera run, and do "
                "its topic and quality of service match (ros2 topic info -v)?"
            )
        return silence


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``tracker_node``."""
    code = run_node(
        TrackerNode, arguments, started=TrackerNode.autostart, stopping=lambda node: node.release(EXIT_PATIENCE)
    )
    if threading.active_count() > 1:
        # The tracking thread is in the middle of a long step; the interpreter would wait for torch to finish it.
        sys.stdout.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
