"""The node `camera`: plays a video, a folder of images or the rendered scene, starts the tracker on it, and sums up.

It knows the truth of what it shows (exactly for the rendered scene, from groundtruth_rect.txt for an OTB folder), so it
can say at the end how well the tracker did and how late its results came.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D

from trdimp_ros.evaluation.metrics import read_boxes
from trdimp_ros.media.drawing import contact_sheet, draw_result, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.sources import Frame, FrameSource, open_source
from trdimp_ros.msg import TrackState
from trdimp_ros.parameters import check_parameters, parameter
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.messages import box_message, box_of_message, nanoseconds
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.running import run_node
from trdimp_ros.tracking import Box, State, TrackResult
from trdimp_ros.tracking.geometry import intersection_over_union

SCENE = "scene"
VISIBLE = 0.5
"""Share of the target that must be seen for a frame of the scene to count in the mean overlap."""

SHEET_TILES = 20
RETRY_SECONDS = 15.0
"""The first image and the init are sent again when no state has come after this time."""

LAST_RESULT_SECONDS = 3.0
"""How long the last image's result is waited for."""


@dataclass(frozen=True)
class CameraParameters:
    """The parameters of the node."""

    source: str = parameter(
        SCENE, "What is shown: scene (rendered, with exact truth), a video file, or a folder of images.", dynamic=False
    )
    rate: float = parameter(10.0, "Images per second; 0: the source's own rate.", 0.0, 1000.0, False)
    width: int = parameter(640, "Width of the rendered scene in pixels.", 64, 8192, False)
    height: int = parameter(480, "Height of the rendered scene in pixels.", 64, 8192, False)
    frame_id: str = parameter("camera", "Frame of the images.")
    loop: bool = parameter(False, "Begin again at the end, with no summary.")
    reliable: bool = parameter(False, "Publish images reliably; else best effort, as cameras do.", dynamic=False)
    initialize: bool = parameter(
        True, "Start the tracker on the first image, with the first true box or the parameter init.", dynamic=False
    )
    init: tuple[float, float, float, float] = parameter(
        (0.0, 0.0, 0.0, 0.0),
        "Box x, y, w, h in the first image, pixels; zeros: the first true box.",
        -1e6,
        1e6,
        False,
    )
    lockstep: bool = parameter(False, "Show the next image only when the state of the last one has come: drops none.")
    contact_sheet: str = parameter("", "PNG file to write the results into; empty: none.", dynamic=False)

    def __post_init__(self) -> None:
        check_parameters(self)
        if any(self.init) and not (self.init[2] > 0 and self.init[3] > 0):
            raise ValueError(f"init must have a width and a height above 0, or be all zeros, got {self.init}")


STATES = {
    TrackState.NORMAL: State.NORMAL,
    TrackState.UNCERTAIN: State.UNCERTAIN,
    TrackState.NOT_FOUND: State.NOT_FOUND,
}


class Clip:
    """What is shown, with its truth where known.

    Args:
        source: See the parameter.
        width: Of the rendered scene.
        height: Of the rendered scene.

    Raises:
        ValueError: if there is no such source.
    """

    def __init__(self, source: str, width: int, height: int) -> None:
        self.frames: FrameSource
        self._scene = RenderedScene(width, height) if source == SCENE else None
        self._truth: list[Box | None] = []
        if self._scene is not None:
            self.frames = self._scene
        else:
            self.frames = open_source(Path(source).expanduser())
            truth = Path(source).expanduser() / "groundtruth_rect.txt"
            if truth.is_file():
                self._truth = read_boxes(truth)

    def truth(self, index: int) -> Box | None:
        """The true box of a frame; None where it is unknown or the target cannot be seen well."""
        if self._scene is not None:
            return self._scene.box(index) if self._scene.visibility(index) >= VISIBLE else None
        return self._truth[index] if index < len(self._truth) else None


class CameraNode(ParameterNode[CameraParameters]):
    """Publishes `image`, sends `tracker/init`, listens to `tracker/state`."""

    def __init__(self) -> None:
        super().__init__("camera", lambda given: CameraParameters())
        self._clip = Clip(self.parameters.source, self.parameters.width, self.parameters.height)
        self._iterator: Iterator[Frame] = iter(self._clip.frames)
        self._first = next(self._iterator, None)
        if self._first is None:
            raise ValueError(f"the source {self._value('source')} holds no frame that can be read")
        init = Box(*self.parameters.init)
        self._init = init if init.w > 0 else self._clip.truth(0)
        self._starts_tracker = self.parameters.initialize
        if self._starts_tracker and self._init is None:
            raise ValueError("no true box is known for the first image; set init to x, y, w, h or initialize to false")

        self._index = -1
        self._stamps: dict[int, int] = {}
        self._shown: dict[int, Frame] = {}
        self._results: dict[int, TrackResult] = {}
        self._latencies: list[float] = []
        self._first_sent = 0
        self._ended = 0
        reliability = ReliabilityPolicy.RELIABLE if self.parameters.reliable else ReliabilityPolicy.BEST_EFFORT
        self._images = self.create_publisher(Image, "image", QoSProfile(depth=1, reliability=reliability))
        self._inits = self.create_publisher(Detection2D, "tracker/init", 10)
        self.create_subscription(TrackState, "tracker/state", self._on_state, 100)
        period = 1.0 / (self.parameters.rate or self._clip.frames.rate)
        self._timer = self.create_timer(period, self._on_timer)

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_timer(self) -> None:
        if self._ended:
            self._finish_when_quiet()
        elif self._index < 0:
            self._start()
        elif not (self.parameters.lockstep and self._index not in self._results):
            self._show_next()

    def _start(self) -> None:
        """Send the first image once the tracker listens, and again until it answers."""
        if not self._images.get_subscription_count():
            return
        if not self._starts_tracker:
            self._index = 0
            self._publish(0, self._first)
            return
        if self._results:  # the first state has come
            self._index = 0
            return
        if self._inits.get_subscription_count() and self._now() - self._first_sent > RETRY_SECONDS * 1e9:
            self._first_sent = self._now()
            header = self._publish(0, self._first)
            assert self._init is not None
            self._inits.publish(Detection2D(header=header, bbox=box_message(self._init)))

    def _show_next(self) -> None:
        frame = next(self._iterator, None)
        if frame is None and self.parameters.loop:
            self._iterator = iter(self._clip.frames)
            frame = next(self._iterator, None)
            self._index = -1
        if frame is None:
            self._ended = self._now()
            return
        self._index += 1
        self._publish(self._index, frame)

    def _publish(self, index: int, frame: Frame | None) -> Header:
        assert frame is not None
        header = Header(frame_id=self.parameters.frame_id, stamp=self.get_clock().now().to_msg())
        self._stamps[nanoseconds(header.stamp)] = index
        every = max(len(self._clip.frames) // SHEET_TILES, 1)
        if self.parameters.contact_sheet and index % every == 0:
            self._shown[index] = frame
        self._images.publish(encode_image(frame, "rgb8", header))
        return header

    def _on_state(self, message: TrackState) -> None:
        stamp = nanoseconds(message.header.stamp)
        index = self._stamps.get(stamp)
        if index is None or message.state == TrackState.IDLE:
            return
        box = box_of_message(message.bbox)
        state = State.HARD_NEGATIVE if message.distractor else STATES[message.state]
        self._results[index] = TrackResult(box, message.confidence, state, box)
        if index > 0:  # the first result waits for the initialisation
            self._latencies.append((self._now() - stamp) / 1e6)

    def _finish_when_quiet(self) -> None:
        if self._index not in self._results and self._now() - self._ended < LAST_RESULT_SECONDS * 1e9:
            return
        if self._starts_tracker:
            print(self.summary(), flush=True)
            self._write_sheet()
        raise SystemExit(0)

    def summary(self) -> str:
        """One line: frames shown, mean overlap where the truth is known, frames without result, latencies."""
        pairs = [(result.box, self._clip.truth(index)) for index, result in self._results.items()]
        ious = [intersection_over_union(box, truth) for box, truth in pairs if truth is not None]
        mean_iou = f"{np.mean(ious):.3f}" if ious else "unknown"
        median, high = np.percentile(self._latencies or [0.0], (50, 99))
        shown = self._index + 1
        return (
            f"frames={shown} mean_iou={mean_iou} drops={shown - len(self._results)} "
            f"latency_p50_ms={median:.1f} latency_p99_ms={high:.1f}"
        )

    def _write_sheet(self) -> None:
        path = self.parameters.contact_sheet
        tiles = [
            draw_result(frame, self._results[index], self._clip.truth(index))
            for index, frame in self._shown.items()
            if index in self._results
        ]
        if path and tiles:
            write_image(Path(path), contact_sheet(tiles))


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``camera_node``."""
    return run_node(CameraNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
