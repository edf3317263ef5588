"""What the tracking thread does when the tracker itself fails; with a fake tracker, because no test machine runs out of
device memory on demand."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from trdimp_ros.ros.frame_queue import FrameQueue
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.statistics import Statistics, diagnostic_status
from trdimp_ros.ros.tracking_worker import InitRequest, TrackingWorker
from trdimp_ros.tracking import Box, State, TrackerConfig, TrackResult


class FakeTracker:
    """Stands in for `Tracker` and fails when told to."""

    def __init__(self) -> None:
        self.config = TrackerConfig()
        self.random = None
        self.stage = None
        self.failure: Exception | None = None
        self.resets = 0

    def initialize(self, image, box) -> None:
        if self.failure is not None:
            raise self.failure

    def locate(self, image) -> TrackResult:
        if self.failure is not None:
            raise self.failure
        return TrackResult(Box(1, 1, 2, 2), 1.0, State.NORMAL, Box(0, 0, 9, 9))

    def learn(self) -> None:
        pass

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def parts():
    tracker, queue, statistics = FakeTracker(), FrameQueue(1.0), Statistics()
    published, warnings = [], []
    worker = TrackingWorker(tracker, queue, statistics, published.append, warnings.append)
    yield tracker, queue, statistics, worker, published, warnings
    worker.stop()


def image() -> Image:
    return encode_image(np.zeros((20, 20, 3), np.uint8), "rgb8", Header())


def wait_for(condition) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


@pytest.mark.parametrize("moment", ["initialize", "locate"])
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (torch.cuda.OutOfMemoryError("tried to allocate 2 GiB"), "out of device memory"),
        (RuntimeError("something broke"), "the tracker failed (RuntimeError: something broke)"),
    ],
)
def test_a_failure_leaves_no_half_made_target_and_the_thread_alive(parts, moment, failure, words):
    tracker, queue, statistics, worker, published, warnings = parts
    queue.put(image(), 1)
    wait_for(lambda: len(published) == 1)
    if moment == "locate":
        worker.initialize(InitRequest(Box(1, 1, 5, 5)))
        wait_for(lambda: len(published) == 2)
    tracker.failure = failure
    if moment == "initialize":
        worker.initialize(InitRequest(Box(1, 1, 5, 5)))
    else:
        queue.put(image(), 2)
    wait_for(lambda: warnings)
    assert words in warnings[0]
    assert tracker.resets == 1
    status = diagnostic_status("tracker", "cuda", statistics, worker.state, queue.arrived, queue.dropped)
    assert status.level == status.ERROR
    assert words in status.message

    tracker.failure = None  # the thread lives, and a new target clears the error
    count = len(published)
    worker.initialize(InitRequest(Box(1, 1, 5, 5)))
    wait_for(lambda: len(published) > count)
    assert published[-1].result.state == State.NORMAL
    assert statistics.error == ""
