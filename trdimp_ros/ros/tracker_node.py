"""The lifecycle node `tracker`: images in, boxes out."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from diagnostic_msgs.msg import DiagnosticArray, KeyValue
from geometry_msgs.msg import Point, PointStamped
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection2D

from trdimp_ros.checkpoints import WeightsInfo, default_network, load_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.parameters import parameter_values
from trdimp_ros.ros.clicks import TwoCorners
from trdimp_ros.ros.frame_queue import FrameQueue
from trdimp_ros.ros.image_plane import pixel_of_point, plane_frame
from trdimp_ros.ros.messages import box_of_message, box_of_roi, class_label, nanoseconds
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.publishers import ResultPublishers
from trdimp_ros.ros.running import run_node
from trdimp_ros.ros.statistics import Statistics, diagnostic_status
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters, tracker_defaults
from trdimp_ros.ros.tracking_worker import InitRequest, TrackingWorker
from trdimp_ros.tracking import Box, Tracker, preset
from trdimp_ros.tracking.devices import PRECISIONS, choose_device, use_threads

EXIT_PATIENCE = 1.0
"""Seconds that a signal's exit waits for the running frame. An initialisation can take longer than that."""

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class TrackerNode(ParameterNode[TrackerNodeParameters], LifecycleNode):
    """Wires topics, services, parameters and transitions to a `TrackingWorker`."""

    def __init__(self) -> None:
        super().__init__("tracker", tracker_defaults)
        self._preset = self.parameters.preset
        self._worker: TrackingWorker | None = None
        self._queue: FrameQueue | None = None
        self._outputs: ResultPublishers | None = None
        self._statistics = Statistics()
        self._weights = WeightsInfo("none")
        self._device = torch.device("cpu")
        self._inputs: list[Any] = []
        self._time_jumped = False
        self._rviz_clicks, self._rqt_clicks = TwoCorners(), TwoCorners()
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/set_enabled", self._on_set_enabled)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)

    # Parameters

    def why_fixed(self) -> str | None:
        """While configured, only thresholds and rates of the tracker can change."""
        if self._worker is None:
            return None
        return "is fixed while the node is configured; call the lifecycle transition cleanup first"

    def on_parameters_changed(self) -> None:
        """Hand the tracker's parameters to the worker; they are in force from the next image."""
        if self._worker is not None:
            self._worker.set_config(self.parameters.tracker)

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
            path = self.parameters.model.weights
            device = choose_device(self.parameters.model.device)
            use_threads(self.parameters.model.threads)
            network, weights = load_network(Path(path).expanduser()) if path else default_network(self._preset)
            tracker = Tracker(network, self.parameters.tracker, device, PRECISIONS[self.parameters.model.precision])
            _warm_up(tracker)
        except (ValueError, OSError) as error:
            self.get_logger().error(f"configure failed: {error}")
            return FAILURE
        except torch.cuda.OutOfMemoryError as error:
            self.get_logger().error(f"configure failed: out of device memory: {error}")
            return FAILURE
        except Exception as error:  # rclpy would swallow it
            self.get_logger().error(f"configure failed unexpectedly ({type(error).__name__}: {error})")
            return FAILURE
        if not weights.trained:
            self.get_logger().warning(
                f"preset {self._preset} without model.weights: untrained weights, good for a demo only (see README.md)"
            )
        elif weights.preset not in ("", self._preset):
            self.get_logger().warning(
                f"weights {weights.name} are meant for preset {weights.preset}, tracking with preset {self._preset}"
            )
        self._weights, self._device = weights, device
        self._statistics = Statistics()
        self._queue = FrameQueue(self.parameters.frame_buffer)
        self._outputs = ResultPublishers(self, tracker, self._statistics)
        self._worker = TrackingWorker(
            tracker, self._queue, self._statistics, self._outputs.publish, self.get_logger().warning
        )
        self.get_logger().info(f"configured: weights {weights.name}, device {device}, preset {self._preset}")
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe."""
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
        self._inputs = [
            self.create_subscription(image_type, image_topic, self._on_image, image_qos),
            self.create_subscription(Detection2D, "~/init", self._on_init, 10),
            self.create_subscription(RegionOfInterest, "~/init_roi", self._on_init_roi, 10),
            self.create_subscription(PointStamped, "/clicked_point", self._on_clicked_point, 10),
            self.create_subscription(Point, "image_mouse_left", self._on_mouse_click, 10),
        ]
        self.get_logger().info(f"active: images from {self.resolve_topic_name(image_topic)}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop taking images; the target is kept."""
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
        self._queue = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _drop_inputs(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if self._queue is not None:
            self._queue.clear()

    # Topics

    def _on_image(self, message: Image | CompressedImage) -> None:
        assert self._queue is not None
        if not self._queue.put(message, self.get_clock().now().nanoseconds) and not self._time_jumped:
            self._time_jumped = True
            self.get_logger().warning(
                "image stamps went backwards (a bag that loops? a simulation's reset?); tracking on"
            )

    def _on_init(self, message: Detection2D) -> None:
        stamp = nanoseconds(message.header.stamp)
        self._request(InitRequest(box_of_message(message.bbox), stamp, message.id, class_label(message)))

    def _on_init_roi(self, message: RegionOfInterest) -> None:
        self._request(InitRequest(box_of_roi(message)))

    def _on_clicked_point(self, message: PointStamped) -> None:
        if message.header.frame_id == plane_frame(self.get_fully_qualified_name()):
            self._on_click(self._rviz_clicks, *pixel_of_point(message.point.x, message.point.y))

    def _on_mouse_click(self, message: Point) -> None:
        self._on_click(self._rqt_clicks, message.x, message.y)

    def _on_click(self, corners: TwoCorners, x: float, y: float) -> None:
        box = corners.click(x, y, self.get_clock().now().nanoseconds / 1e9)
        if box is None:
            self.get_logger().info(f"first corner at ({x:.0f}, {y:.0f}); click the opposite one")
        else:
            self._request(InitRequest(box))

    def _request(self, request: InitRequest) -> None:
        assert self._worker is not None
        box: Box = request.box
        self.get_logger().info(f"init: x={box.x:.1f} y={box.y:.1f} w={box.w:.1f} h={box.h:.1f}")
        self._worker.initialize(request)

    # Services

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._worker is not None
        if self._worker is None:
            response.message = "the node is not configured"
        else:
            self._worker.reset()
            response.message = "all targets forgotten"
        return response

    def _on_set_enabled(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._worker is not None
        if self._worker is None:
            response.message = "the node is not configured"
        else:
            self._worker.enabled = request.data
            response.message = "tracking" if request.data else "paused; the target is kept"
        return response

    def _publish_diagnostics(self) -> None:
        worker, queue = self._worker, self._queue
        if worker is None or queue is None:
            return
        name = self.get_fully_qualified_name().lstrip("/")
        status = diagnostic_status(
            f"{name}: tracking",
            str(self._device),
            self._statistics,
            worker.state if worker.enabled else "paused",
            queue.arrived,
            queue.dropped,
        )
        machine = {
            "device": str(self._device),
            "threads": str(torch.get_num_threads()),
            "weights": self._weights.name,
            "weights SHA-256": self._weights.sha256,
        }
        status.values = [*status.values, *(KeyValue(key=key, value=value) for key, value in machine.items())]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def autostart(self) -> None:
        """Walk to active where the parameter asks for it; a failed configure leaves the node unconfigured."""
        if self.parameters.autostart and self.trigger_configure() == SUCCESS:
            self.trigger_activate()


def _warm_up(tracker: Tracker) -> None:
    """Track two frames of a rendered scene, so that the first real one is not slow, and forget them."""
    scene = RenderedScene(320, 240)
    tracker.initialize(scene.frame(0), scene.box(0))
    tracker.track(scene.frame(1))
    tracker.reset()


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
