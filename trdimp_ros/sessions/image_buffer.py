"""The newest image, and images of the past for boxes that were drawn or detected in one of them."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageSource(Protocol):
    """An image as it arrives: decoded when it is needed, which for most images of a fast camera is never."""

    @property
    def stamp(self) -> int:
        """When it was taken, in nanoseconds of any clock that does not run backwards; 0: unknown."""

    @property
    def size_in_bytes(self) -> int:
        """The memory that it holds."""

    def decode(self) -> NDArray[np.uint8]:
        """The pixels (H, W, 3) uint8 RGB.

        Raises:
            ValueError: for an image that cannot be decoded.
        """


@dataclass(frozen=True)
class ImmediateImage:
    """An image that is decoded already.

    Attributes:
        pixels: The image (H, W, 3) uint8 RGB.
        stamp: When it was taken, nanoseconds; 0: unknown.
    """

    pixels: NDArray[np.uint8]
    stamp: int = 0

    @property
    def size_in_bytes(self) -> int:
        """The memory of its pixels."""
        return self.pixels.nbytes

    def decode(self) -> NDArray[np.uint8]:
        """The pixels as they are."""
        return self.pixels


@dataclass(frozen=True)
class BufferedImage:
    """An image in the buffer.

    Attributes:
        source: The image.
        number: Position in the stream: 0 for the first image that arrived.
        arrival: When it arrived, seconds of the monotonic clock.
    """

    source: ImageSource
    number: int
    arrival: float

    @property
    def stamp(self) -> int:
        """When it was taken, nanoseconds; 0: unknown."""
        return self.source.stamp


@dataclass(frozen=True)
class BufferLimits:
    """How many images are kept. Ages are those of a monotonic clock, whatever the stamps say.

    Attributes:
        frame_buffer: Every image of the last so many seconds is kept; 0: the newest image alone.
        sparse_seconds: Seconds before those of which some images are kept: people take time to draw a box.
        sparse_period: Least seconds between two of those images.
        count: Most images that are kept.
        size_in_bytes: The images kept hold at most so much memory; the newest one is kept at any size.
    """

    frame_buffer: float = 1.0
    sparse_seconds: float = 10.0
    sparse_period: float = 0.2
    count: int = 1024
    size_in_bytes: int = 512 << 20


class ImageBuffer:
    """Keeps the newest images within limits. Safe to use from several threads.

    An image that was not taken when the next one arrives is dropped: it is kept as an image of the past and counted.

    Args:
        limits: How much is kept.
        clock: The monotonic clock, seconds.

    Attributes:
        arrived: The number of images that have arrived.
        dropped: The number of images that were never taken.
    """

    def __init__(self, limits: BufferLimits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or BufferLimits()
        self._clock = clock
        self._lock = threading.Lock()
        self._sparse: deque[BufferedImage] = deque()
        self._dense: deque[BufferedImage] = deque()
        self._bytes = 0
        self._waiting: BufferedImage | None = None
        self.arrived = 0
        self.dropped = 0

    def put(self, source: ImageSource) -> bool:
        """Add the newest image.

        Returns:
            False when its stamp lies before the last one's (a bag that loops, a simulation's reset): the images before
            it are then forgotten. True otherwise.
        """
        with self._lock:
            image = BufferedImage(source, self.arrived, self._clock())
            self.arrived += 1
            backwards = bool(self._dense) and 0 < source.stamp < self._dense[-1].stamp
            if backwards:
                self._forget()
            self._dense.append(image)
            self._bytes += source.size_in_bytes
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = image
            self._prune(image.arrival)
        return not backwards

    @property
    def has_waiting(self) -> bool:
        """Whether an image has arrived that was not taken yet."""
        return self._waiting is not None

    def take(self) -> BufferedImage | None:
        """The newest image if it was not taken yet. It stays in the buffer as an image of the past."""
        with self._lock:
            image, self._waiting = self._waiting, None
            return image

    def mark_taken(self, number: int) -> None:
        """Treat the image of this number, and those before it, as taken: it was looked at as an image of the past."""
        with self._lock:
            if self._waiting is not None and self._waiting.number <= number:
                self._waiting = None

    def newest(self) -> BufferedImage | None:
        """The newest image, taken or not."""
        with self._lock:
            return self._dense[-1] if self._dense else None

    def find(self, stamp: int) -> BufferedImage | None:
        """The kept image with this stamp."""
        with self._lock:
            return next((image for image in self._all() if image.stamp == stamp), None)

    def neighbors(self, stamp: int) -> tuple[BufferedImage | None, BufferedImage | None]:
        """The last kept image before a stamp and the first one after it."""
        before = None
        with self._lock:
            for image in self._all():
                if image.stamp > stamp:
                    return before, image
                if image.stamp:
                    before = image
        return before, None

    def is_recent(self, image: BufferedImage) -> bool:
        """Whether an image is the newest or from the time of which every image is kept."""
        with self._lock:
            return bool(self._dense) and image.number >= self._dense[0].number

    def between(self, after: int, last: int) -> list[BufferedImage]:
        """The kept images whose numbers are greater than ``after`` and at most ``last``, in order."""
        with self._lock:
            return [image for image in self._all() if after < image.number <= last]

    def clear(self) -> None:
        """Forget all images; the counters go on. A waiting image counts as dropped."""
        with self._lock:
            if self._waiting is not None:
                self.dropped += 1
            self._waiting = None
            self._forget()

    @property
    def size_in_bytes(self) -> int:
        """The memory that the kept images hold."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._sparse) + len(self._dense)

    def _all(self) -> Iterator[BufferedImage]:
        return itertools.chain(self._sparse, self._dense)

    def _forget(self) -> None:
        self._sparse.clear()
        self._dense.clear()
        self._bytes = 0

    def _prune(self, now: float) -> None:
        limits = self._limits
        while len(self._dense) > 1 and now - self._dense[0].arrival > limits.frame_buffer:
            self._thin_out(self._dense.popleft())
        oldest_kept = limits.frame_buffer + (limits.sparse_seconds if limits.frame_buffer else 0.0)
        while self._sparse and now - self._sparse[0].arrival > oldest_kept:
            self._drop(self._sparse.popleft())
        while len(self) > 1 and (len(self) > limits.count or self._bytes > limits.size_in_bytes):
            self._drop(self._sparse.popleft() if self._sparse else self._dense.popleft())

    def _thin_out(self, image: BufferedImage) -> None:
        """Keep an image that has become older than ``frame_buffer`` if none near it in time is kept."""
        if not self._sparse or image.arrival - self._sparse[-1].arrival >= self._limits.sparse_period:
            self._sparse.append(image)
        else:
            self._drop(image)

    def _drop(self, image: BufferedImage) -> None:
        self._bytes -= image.source.size_in_bytes
