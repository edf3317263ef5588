"""A detector that sees a target rarely and late, as a process, and the judge of what a tracker makes of it.

    python -m trdimp_ros.testing.late_detector '{"absences": 3, ...}'

Images come from a scripted scene, whose truth both sides know; an image's stamp tells which one it is. "Late" is in the
time of the stamps, so that a slow machine, which shows the images slowly, tests the same.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, field

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from trdimp_ros.media.scene_script import SceneScript
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.msg import TrackState
from trdimp_ros.ros.messages import box_message, box_of_message, nanoseconds
from trdimp_ros.testing.ros_harness import Client
from trdimp_ros.tracking import Box
from trdimp_ros.tracking.geometry import intersection_over_union

FIRST_STAMP = 10**9
FRAME = 40_000_000
"""Nanoseconds of a frame of the scene."""
DETECTABLE = 0.9
"""Share of the target that must be seen for the detector to see it."""
VISIBLE = 0.5
"""Share from which on the target counts as present."""
ON_TARGET = 0.3
"""Overlap with the truth from which on a box is on the target."""


@dataclass(frozen=True)
class LateDetection:
    """What is shown, and how the detector sees it.

    Attributes:
        frames: Frames of the scene.
        absences: How often the target leaves the image and returns elsewhere in another size.
        longest: Longest absence in frames of the scene.
        seed: The scene's seed.
        width: Width of the images. In a wide one a target returns far from where it was lost.
        height: Height of the images; sizes of targets are shares of the smaller side.
        stride: Every so many frames of the scene one is shown.
        every: The detector looks at every so many images shown.
        late: Milliseconds, by the stamps, after which it says what it has seen.
    """

    frames: int
    absences: int
    longest: int = 30
    seed: int = 0
    width: int = 320
    height: int = 240
    stride: int = 1
    every: int = 30
    late: int = 300

    def scene(self) -> ScriptedScene:
        """The scene with one target."""
        script = SceneScript(
            width=self.width,
            height=self.height,
            frames=self.frames,
            seed=self.seed,
            targets=1,
            absences=self.absences,
            absence_frames=(self.longest * 2 // 3, self.longest),
        )
        return ScriptedScene(script)

    @property
    def images(self) -> int:
        """The number of images shown."""
        return -(-self.frames // self.stride)

    def stamp(self, image: int) -> int:
        """The stamp of an image, nanoseconds."""
        return FIRST_STAMP + image * self.stride * FRAME

    def image_of(self, stamp: int) -> int:
        """The image with a stamp."""
        return (stamp - FIRST_STAMP) // (self.stride * FRAME)


class LateDetector(Node):
    """The detector: what it sees in an image it says when an image so much later has come."""

    def __init__(self, plan: LateDetection) -> None:
        super().__init__("late_detector")
        self._plan, self._scene = plan, plan.scene()
        self._unsaid: deque[Detection2DArray] = deque()
        self._last = -1
        self._candidates = self.create_publisher(Detection2DArray, "tracker/candidates", 10)
        quality = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        self.create_subscription(Image, "image", self._on_image, quality)

    def _on_image(self, message: Image) -> None:
        stamp = nanoseconds(message.header.stamp)
        image = self._plan.image_of(stamp)
        # It may have missed the very image that it should look at.
        if image // self._plan.every > self._last // self._plan.every:
            self._unsaid.append(Detection2DArray(header=message.header, detections=self._seen(image, message.header)))
        self._last = image
        while self._unsaid and stamp - nanoseconds(self._unsaid[0].header.stamp) >= self._plan.late * 1_000_000:
            self._candidates.publish(self._unsaid.popleft())

    def _seen(self, image: int, header: Header) -> list[Detection2D]:
        frame = image * self._plan.stride
        box = self._scene.box(frame)
        if box is None or self._scene.visibility(frame) < DETECTABLE:
            return []
        hypothesis = ObjectHypothesisWithPose()
        hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = "sign", 0.9
        return [Detection2D(header=header, results=[hypothesis], bbox=box_message(box))]


@dataclass
class Judge:
    """Counts what the tracker says of every image.

    Attributes:
        ids: All ids that were seen, in their order.
        losses: Absences before which the target was followed.
        delays: Images from each return until the target was found again under its first id; None: not found.
        absent: Images without the target.
        wrong: Images in which something that is not the target was said to be it (state normal).
        overlaps: Overlap with the truth in every image in which the target was seen for sure.
    """

    plan: LateDetection
    ids: list[str] = field(default_factory=list)
    losses: int = 0
    delays: list[int | None] = field(default_factory=list)
    absent: int = 0
    wrong: int = 0
    overlaps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._scene = self.plan.scene()
        self._was_absent = self._followed = False
        self._returned: int | None = None

    def judge(self, image: int, states: dict[str, TrackState]) -> None:
        """Take note of all states of an image."""
        frame = image * self.plan.stride
        truth, share = self._scene.box(frame), self._scene.visibility(frame)
        self.ids += [name for name in states if name and name not in self.ids]
        sure = {name: state for name, state in states.items() if state.state == TrackState.NORMAL}
        overlaps = {name: _overlap(state, truth) for name, state in sure.items()}
        self.wrong += any(overlap < ON_TARGET / 3 for overlap in overlaps.values())
        on_target = bool(self.ids) and overlaps.get(self.ids[0], 0.0) >= ON_TARGET
        if share == 0.0:
            self.absent += 1
            if not self._was_absent:
                self.losses += self._followed
                if self._returned is not None:
                    self.delays.append(None)
            self._was_absent, self._followed, self._returned = True, False, None
        elif share >= VISIBLE and self._was_absent:
            self._was_absent, self._returned = False, image
        if on_target:
            self._followed = True
            self.overlaps.append(overlaps[self.ids[0]])
            if self._returned is not None:
                self.delays.append(image - self._returned)
                self._returned = None


def _overlap(state: TrackState, truth: Box | None) -> float:
    return 0.0 if truth is None else intersection_over_union(box_of_message(state.bbox), truth)


def show_all(client: Client, plan: LateDetection, patience: float) -> Judge:
    """Show all images, each when the tracker has said of the last one what it has to say, and judge that.

    Args:
        client: The camera, and who hears the tracker.
        plan: What is shown.
        patience: Seconds after which the next image is shown although the states of the last are not complete.
    """
    scene, judge = plan.scene(), Judge(plan)
    for image in range(plan.images):
        stamp = plan.stamp(image)
        client.send_image(scene.frame(image * plan.stride), stamp)
        states: dict[str, TrackState] = {}

        def complete(stamp: int = stamp, states: dict[str, TrackState] = states) -> bool:
            states.update({one.target_id: one for one in client.states if nanoseconds(one.header.stamp) == stamp})
            return bool(states) and set(judge.ids) <= set(states)

        with contextlib.suppress(AssertionError):  # a slow tracker is judged by what it has said in time
            client.spin_until(complete, patience)
        judge.judge(image, states)
        client.states.clear()
        client.arrivals.clear()
    return judge


def main() -> None:
    """Run the detector until it is told to stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        rclpy.spin(LateDetector(LateDetection(**json.loads(sys.argv[1]))))
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()


def command(plan: LateDetection) -> list[str]:
    """The command that runs the detector of a plan."""
    return [sys.executable, "-m", "trdimp_ros.testing.late_detector", json.dumps(asdict(plan))]


if __name__ == "__main__":
    main()
