"""Frames on their way from the camera callback to the tracking thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sensor_msgs.msg import CompressedImage, Image

from trdimp_ros.ros.messages import nanoseconds

Job = Callable[[], None]


@dataclass(frozen=True)
class Frame:
    """An image as it arrived, not decoded yet.

    Attributes:
        message: The image.
        arrival: Time of arrival in nanoseconds of the node's clock.
        number: Counts all frames that arrived.
        taken_in: Monotonic clock at arrival, seconds.
    """

    message: Image | CompressedImage
    arrival: int
    number: int
    taken_in: float

    @property
    def stamp(self) -> int:
        """The image's stamp in nanoseconds; 0: none."""
        return nanoseconds(self.message.header.stamp)


class FrameQueue:
    """A slot for the newest frame, a queue of jobs, and the frames of the last seconds. Thread-safe.

    A frame that is not taken before the next one arrives is dropped and counted. Jobs are never dropped, and come
    before the frame.

    Args:
        keep_seconds: How long past frames are kept.
    """

    def __init__(self, keep_seconds: float) -> None:
        self._keep = int(keep_seconds * 1e9)
        self._ready = threading.Condition()
        self._newest: Frame | None = None
        self._jobs: deque[Job] = deque()
        self._past: deque[Frame] = deque()
        self._closed = False
        self.arrived = 0
        self.dropped = 0

    def put(self, message: Image | CompressedImage, arrival: int) -> bool:
        """Offer a frame; False when its stamp lies before the last one's: a bag that loops, a simulation's reset.

        The past frames are then forgotten.
        """
        with self._ready:
            frame = Frame(message, arrival, self.arrived, time.monotonic())
            self.arrived += 1
            backwards = bool(self._past) and 0 < frame.stamp < self._past[-1].stamp
            if backwards:
                self._past.clear()
            self._past.append(frame)
            while len(self._past) > 1 and frame.arrival - self._past[0].arrival > self._keep:
                self._past.popleft()
            if self._newest is not None:
                self.dropped += 1
            self._newest = frame
            self._ready.notify()
        return not backwards

    def put_job(self, job: Job) -> None:
        """Have a job run by the thread that takes the frames."""
        with self._ready:
            self._jobs.append(job)
            self._ready.notify()

    def take(self) -> Job | Frame | None:
        """The next job, else the newest frame; waits for one. None when closed."""
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._jobs or self._newest is not None)
            if self._closed:
                return None
            if self._jobs:
                return self._jobs.popleft()
            frame, self._newest = self._newest, None
            return frame

    def past(self, stamp: int) -> list[Frame]:
        """The kept frames from the one with this stamp on; 0: the newest alone. Empty where there is no such frame."""
        with self._ready:
            if stamp == 0:
                return list(self._past)[-1:]
            frames = [frame for frame in self._past if frame.stamp >= stamp]
        return frames if frames and frames[0].stamp == stamp else []

    def since(self, number: int) -> list[Frame]:
        """The kept frames that arrived after frame ``number``."""
        with self._ready:
            return [frame for frame in self._past if frame.number > number]

    def skip_to(self, number: int) -> None:
        """Take the waiting frame out if it is not newer than frame ``number``: it has been processed otherwise."""
        with self._ready:
            if self._newest is not None and self._newest.number <= number:
                self._newest = None

    def clear(self) -> None:
        """Forget all frames."""
        with self._ready:
            self._newest = None
            self._past.clear()

    def close(self) -> None:
        """End all waiting."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
