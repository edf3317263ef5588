"""The node `camera`: plays a video, a folder of images or a rendered scene, starts the tracker on it, and sums up.

It knows the truth of what it shows (exactly for a rendered scene, from groundtruth_rect.txt for an OTB folder), so it
can say at the end how well the tracker did and how late its results came.
"""

from __future__ import annotations

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D

from trdimp_ros.media.sources import Frame
from trdimp_ros.msg import TrackState
from trdimp_ros.parameters import check_parameters, parameter
from trdimp_ros.ros.clip import SCENE, Clip, SheetTiles, Summary
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.messages import box_message, box_of_message, nanoseconds
from trdimp_ros.ros.parameters import ParameterNode
from trdimp_ros.ros.running import run_node
from trdimp_ros.tracking import Box, State, TrackResult

RETRY_SECONDS = 15.0
"""The first image and the init are sent again when no state has come after this time."""

LAST_RESULT_SECONDS = 3.0
"""How long the last image's result is waited for."""

AWAITED = 1000
"""Images whose result may still come; for older ones it comes no more."""


@dataclass(frozen=True)
class CameraParameters:
    """The parameters of the node."""

    source: str = parameter(
        SCENE,
        "What is shown: scene or two_targets (rendered, with exact truth), a video file, or a folder of images.",
        dynamic=False,
    )
    rate: float = parameter(10.0, "Images per second; 0: the source's own rate.", 0.0, 1000.0, False)
    width: int = parameter(640, "Width of a rendered scene in pixels.", 64, 8192, False)
    height: int = parameter(480, "Height of a rendered scene in pixels.", 64, 8192, False)
    frame_id: str = parameter("camera", "Frame of the images.")
    loop: bool = parameter(False, "Begin again at the end, with no summary.")
    reliable: bool = parameter(False, "Publish images reliably; else best effort, as cameras do.", dynamic=False)
    initialize: bool = parameter(
        True, "Start the tracker on the first image, with the first true box or the parameter init.", dynamic=False
    )
    init: tuple[float, float, float, float] = parameter(
        (0.0, 0.0, 0.0, 0.0),
        "Box x, y, w, h of the first target in the first image, pixels; zeros: the first true box.",
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


class CameraNode(ParameterNode[CameraParameters]):
    """Publishes `image`, sends `tracker/init`, listens to `tracker/state`.

    Raises:
        ValueError: for a source that cannot be shown.
    """

    def __init__(self) -> None:
        super().__init__("camera", lambda given: CameraParameters())
        source = self.parameters.source
        try:
            self._clip = Clip(source, self.parameters.width, self.parameters.height)
            self._iterator: Iterator[Frame] = iter(self._clip.frames)
            self._first = next(self._iterator, None)
        except OSError as error:
            raise ValueError(f"cannot read the source {source}: {error.strerror or error}") from error
        if self._first is None:
            raise ValueError(f"the source {source} holds no frame that can be read")
        init = Box(*self.parameters.init)
        boxes = {name: self._clip.truth(0, target) for target, name in enumerate(self._clip.ids)}
        if init.w > 0:
            boxes[self._clip.ids[0]] = init
        self._boxes = {name: box for name, box in boxes.items() if box is not None}
        self._starts_tracker = self.parameters.initialize
        if self._starts_tracker and len(self._boxes) < len(boxes):
            raise ValueError("no true box is known for the first image; set init to x, y, w, h or initialize to false")

        self._index = -1
        self._begin_round()
        self._first_sent = self._ended = float("-inf")
        reliability = ReliabilityPolicy.RELIABLE if self.parameters.reliable else ReliabilityPolicy.BEST_EFFORT
        self._images = self.create_publisher(Image, "image", QoSProfile(depth=1, reliability=reliability))
        self._inits = self.create_publisher(Detection2D, "tracker/init", 10)
        self.create_subscription(TrackState, "tracker/state", self._on_state, 100)
        period = 1.0 / (self.parameters.rate or self._clip.frames.rate)
        self._timer = self.create_timer(period, self._on_timer)

    def _begin_round(self) -> None:
        """Forget the results of the last round, also those that are still on their way."""
        self._awaited: OrderedDict[int, int] = OrderedDict()  # index of the image, by its stamp
        self._summaries = {name: Summary() for name in self._clip.ids}
        self._tiles = SheetTiles(len(self._clip.frames))

    @property
    def _answered(self) -> int:
        """Index of the last image that has the results of all targets; -1: none."""
        return min(summary.answered for summary in self._summaries.values())

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _on_timer(self) -> None:
        if self._ended > 0:
            self._finish_when_quiet()
        elif self._index < 0:
            self._start()
        elif not (self.parameters.lockstep and self._answered < self._index):
            self._show_next()

    def _start(self) -> None:
        """Send the first image once the tracker listens, and again until it answers."""
        if not self._images.get_subscription_count():
            return
        if not self._starts_tracker:
            self._index = 0
            self._publish(0, self._first)
            return
        if self._answered >= 0:  # all first states have come
            self._index = 0
            return
        if self._inits.get_subscription_count() and time.monotonic() - self._first_sent > RETRY_SECONDS:
            self._first_sent = time.monotonic()
            header = self._publish(0, self._first)
            for name, box in self._boxes.items():
                self._inits.publish(Detection2D(header=header, id=name, bbox=box_message(box)))

    def _show_next(self) -> None:
        frame = next(self._iterator, None)
        if frame is None and self.parameters.loop:
            self._iterator = iter(self._clip.frames)
            frame = next(self._iterator, None)
            self._index = -1
            self._begin_round()
        if frame is None:
            self._ended = time.monotonic()
            return
        self._index += 1
        self._publish(self._index, frame)

    def _publish(self, index: int, frame: Frame | None) -> Header:
        assert frame is not None
        header = Header(frame_id=self.parameters.frame_id, stamp=self.get_clock().now().to_msg())
        self._awaited[nanoseconds(header.stamp)] = index
        if len(self._awaited) > AWAITED:
            self._awaited.popitem(last=False)
        if self.parameters.contact_sheet:
            self._tiles.shown(index, frame)
        self._images.publish(encode_image(frame, "rgb8", header))
        return header

    def _on_state(self, message: TrackState) -> None:
        if message.state == TrackState.IDLE:
            return
        name = message.target_id if len(self._clip.ids) > 1 else self._clip.ids[0]
        stamp = nanoseconds(message.header.stamp)
        index = self._awaited.get(stamp)
        if index is None or name not in self._summaries:
            return
        truth = self._clip.truth(index, self._clip.ids.index(name))
        state = State.HARD_NEGATIVE if message.distractor else STATES[message.state]
        box = box_of_message(message.bbox)
        result = TrackResult(box, message.confidence, state, box)
        self._summaries[name].add(index, result, truth, (self._now() - stamp) / 1e9)
        self._tiles.found(index, name, result, truth)

    def _finish_when_quiet(self) -> None:
        if self._answered < self._index and time.monotonic() - self._ended < LAST_RESULT_SECONDS:
            return
        if self._starts_tracker:
            for name, summary in self._summaries.items():
                print((f"target {name}: " if name else "") + summary.text(self._index + 1), flush=True)
            if self.parameters.contact_sheet:
                self._tiles.write(Path(self.parameters.contact_sheet))
        raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable ``camera_node``."""
    return run_node(CameraNode, arguments)


if __name__ == "__main__":
    sys.exit(main())
