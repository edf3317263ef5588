"""The tracking thread: takes the newest image, tracks, publishes, learns.

It is the only thread that touches the tracker; the executor's thread hands it frames and jobs and never waits.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from trdimp_ros.ros.frame_queue import Frame, FrameQueue
from trdimp_ros.ros.image_decoding import decode_compressed, decode_image
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.tracking import Box, State, Tracker, TrackerConfig, TrackResult
from trdimp_ros.tracking.randomness import RandomSource

CATCH_UP_SECONDS = 1.0
"""Time that a target initialised in a past image may take to reach the present; frames are skipped to keep it."""

SEED = 0
"""Every initialisation draws the same random numbers, as `trdimp track` does."""


@dataclass
class Target:
    """The target as the outside knows it.

    Attributes:
        id: Given at init, or made up.
        label: Class given at init.
        frames_since_found: 0 when found in the last image.
    """

    id: str
    label: str
    frames_since_found: int = 0


@dataclass(frozen=True)
class InitRequest:
    """A wish to start a target.

    Attributes:
        box: In image pixels.
        stamp: Of the image that the box is meant for, nanoseconds; 0: the newest.
        id: Empty: a new one.
        label: Class label.
    """

    box: Box
    stamp: int = 0
    id: str = ""
    label: str = "target"


@dataclass(frozen=True)
class TrackedImage:
    """A result on its way to the publishers; without target result and target are None."""

    frame: Frame
    pixels: NDArray[np.uint8]
    target: Target | None
    result: TrackResult | None


class TrackingWorker:
    """Runs the tracker in a thread of its own.

    Args:
        tracker: To run.
        queue: Where frames and jobs come from.
        statistics: To write to.
        publish: Called in the tracking thread with every processed image, between `locate` and `learn`.
        warn: Called with a message for the log.
    """

    def __init__(
        self,
        tracker: Tracker,
        queue: FrameQueue,
        statistics: Statistics,
        publish: Callable[[TrackedImage], None],
        warn: Callable[[str], None],
    ) -> None:
        self._tracker = tracker
        self._queue = queue
        self._statistics = statistics
        self._publish = publish
        self._warn = warn
        self._target: Target | None = None
        self._pending: tuple[InitRequest, float] | None = None
        self._ids = itertools.count(1)
        self._config: TrackerConfig = tracker.config
        self._said: set[str] = set()
        self.enabled = True
        self.state = "idle"
        tracker.stage = statistics.stage_done
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    # Called from the executor's thread

    def initialize(self, request: InitRequest) -> None:
        """Start or restart a target as soon as the running frame is done."""
        self._queue.put_job(lambda: self._accept(request))

    def reset(self) -> None:
        """Forget the target as soon as the running frame is done."""
        self._queue.put_job(self._forget)

    def set_config(self, config: TrackerConfig) -> None:
        """Take effect on the next frame. Only dynamic fields may differ."""
        self._config = config

    def stop(self, patience: float | None = None) -> None:
        """End the thread after the running frame or initialisation; wait for it this many seconds at most."""
        self._queue.close()
        self._thread.join(patience)

    # The tracking thread

    def _run(self) -> None:
        while (item := self._queue.take()) is not None:
            try:
                if isinstance(item, Frame):
                    self._process(item)
                else:
                    item()
            except torch.cuda.OutOfMemoryError as error:
                self._fail(f"out of device memory: {error}. Use a smaller preset, another precision or the CPU")
            except Exception as error:  # a bug must not end the thread and leave a node that looks alive
                self._fail(f"the tracker failed ({type(error).__name__}: {error})")

    def _process(self, frame: Frame) -> None:
        if not self.enabled:
            return
        pixels = self._decode(frame)
        if pixels is None:
            return
        if self._pending is not None and self._try_pending():
            return  # which published the present state
        if self._target is None:
            self.state = "idle"
            self._publish(TrackedImage(frame, pixels, None, None))
            return
        self._statistics.record("queue and decode", 1e3 * (time.monotonic() - frame.taken_in))
        self._statistics.frame_started()
        result = self._locate(pixels)
        self._publish(TrackedImage(frame, pixels, self._target, result))
        self._statistics.stage_done("publish")
        self._tracker.learn()

    def _locate(self, pixels: NDArray[np.uint8]) -> TrackResult:
        assert self._target is not None
        if self._tracker.config is not self._config:
            self._tracker.config = self._config
        result = self._tracker.locate(pixels)
        self._target.frames_since_found = 0 if result.found else self._target.frames_since_found + 1
        self.state = result.state.name.lower()
        return result

    def _decode(self, frame: Frame) -> NDArray[np.uint8] | None:
        try:
            message = frame.message
            return decode_compressed(message) if isinstance(message, CompressedImage) else decode_image(message)
        except ValueError as error:
            self._statistics.bad_images += 1
            self._statistics.last_problem = f"image refused: {error}"
            if str(error) not in self._said:
                self._said.add(str(error))
                self._warn(f"image refused: {error} (said once; counted in /diagnostics)")
            return None

    def _accept(self, request: InitRequest) -> None:
        self._pending = (request, time.monotonic())
        self._try_pending()

    def _try_pending(self) -> bool:
        """Initialise if the image that the request is for has arrived; give up after a while. True if it did."""
        assert self._pending is not None
        request, since = self._pending
        frames = self._queue.past(request.stamp)
        if not frames:
            if request.stamp and time.monotonic() - since > CATCH_UP_SECONDS:
                self._pending = None
                self._refuse(f"no image with stamp {request.stamp / 1e9:.3f} s is kept; raise frame_buffer")
            return False
        self._pending = None
        return self._start(request, frames[0])

    def _start(self, request: InitRequest, frame: Frame) -> bool:
        pixels = self._decode(frame)
        if pixels is None:
            self._refuse("its image cannot be decoded")
            return False
        self._tracker.config = self._config
        self._tracker.random = RandomSource(SEED)
        try:
            self._tracker.initialize(pixels, request.box)
        except ValueError as error:
            self._refuse(str(error))
            return False
        self._statistics.error = ""
        self._target = Target(request.id or f"target_{next(self._ids)}", request.label)
        result = TrackResult(request.box, 1.0, State.NORMAL, request.box)
        frame, pixels, result = self._catch_up(frame, pixels, result)
        self.state = result.state.name.lower()
        self._queue.skip_to(frame.number)
        self._publish(TrackedImage(frame, pixels, self._target, result))
        return True

    def _catch_up(
        self, frame: Frame, pixels: NDArray[np.uint8], result: TrackResult
    ) -> tuple[Frame, NDArray[np.uint8], TrackResult]:
        """Track through the kept frames up to the present, skipping some where time would not suffice for all."""
        deadline = time.monotonic() + CATCH_UP_SECONDS
        per_frame = 0.0
        while waiting := self._queue.since(frame.number):
            start = time.monotonic()
            steps = max(int((deadline - start) / max(per_frame, 1e-3)), 1)
            frame = waiting[min(-(-len(waiting) // steps), len(waiting)) - 1]
            decoded = self._decode(frame)
            if decoded is not None:
                pixels = decoded
                result = self._locate(pixels)
                self._tracker.learn()
            per_frame = max(per_frame, time.monotonic() - start)
            if start > deadline:
                break
        return frame, pixels, result

    def _refuse(self, reason: str) -> None:
        self._statistics.refused_inits += 1
        self._statistics.last_problem = f"init refused: {reason}"
        self._warn(f"init refused: {reason}")

    def _forget(self) -> None:
        self._tracker.reset()
        self._target = self._pending = None
        self.state = "idle"

    def _fail(self, reason: str) -> None:
        self._forget()
        self._statistics.error = reason
        self._warn(f"{reason}; the target is forgotten")
