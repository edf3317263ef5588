"""The tracking thread with a real session: what fails, and what must not be lost by it."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from trdimp_ros.ros.diagnostics import Health, diagnostic_status, unconfigured_status
from trdimp_ros.ros.image_decoding import encode_image
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.ros.tracking_worker import TrackingWorker
from trdimp_ros.sessions import REAL_TIME, InitRequest, TargetResult, TrackingSession
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Box, MultiTracker, State, TrackResult

FRAMES, BOXES = small_scene()
BOX = Box(*BOXES[0])


class FailingTracker(MultiTracker):
    """A real tracker that fails when told to: no test machine runs out of device memory on demand."""

    failure: Exception | None = None

    def add(self, *arguments, **named):
        self._fail()
        return super().add(*arguments, **named)

    def locate(self, *arguments, **named):
        self._fail()
        return super().locate(*arguments, **named)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Parts:
    """A worker with all that it needs, and what it has published and written."""

    def __init__(self) -> None:
        self.tracker = FailingTracker(tiny_network(), tiny_config(), 2)
        self.session = TrackingSession(self.tracker, timing=REAL_TIME)
        self.statistics = Statistics()
        self.published, self.warnings = [], []
        self.publisher_fails = False
        self.worker = TrackingWorker(self.session, self.statistics, self.publish, self.warnings.append)
        self._stamp = 0

    def publish(self, result) -> None:
        self.published.append(result)
        if self.publisher_fails:
            raise RuntimeError("no texture of 0 rows")

    def show(self, index: int, encoding: str = "rgb8") -> None:
        self._stamp += 1
        self.worker.take_image(image(FRAMES[index], self._stamp, encoding), 0)

    def status(self) -> DiagnosticStatus:
        return diagnostic_status("tracker", "cpu", self.statistics, self.worker.health(None))


def image(pixels, stamp: int, encoding: str = "rgb8") -> Image:
    header = Header()
    header.stamp.sec = stamp
    message = encode_image(pixels, "rgb8", header)
    message.encoding = encoding
    return message


@pytest.fixture
def parts():
    made = Parts()
    yield made
    made.worker.stop()


def wait_for(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.005)


def found(parts: Parts, target_id: str) -> int:
    return sum(target.id == target_id for result in parts.published for target in result.targets)


@pytest.mark.parametrize("moment", ["add", "locate"])
@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (torch.cuda.OutOfMemoryError("tried to allocate 2 GiB"), "out of device memory"),
        (RuntimeError("something broke"), "the tracker failed (RuntimeError: something broke)"),
    ],
)
def test_a_failure_leaves_no_half_made_target_and_the_thread_alive(parts, moment, failure, words):
    parts.show(0)
    wait_for(lambda: parts.published)
    if moment == "locate":
        parts.worker.initialize(InitRequest(BOX, id="cup"))
        wait_for(lambda: found(parts, "cup"))
    parts.tracker.failure = failure
    if moment == "add":
        parts.worker.initialize(InitRequest(BOX, id="cup"))
    else:
        parts.show(1)
    wait_for(lambda: parts.warnings)
    assert words in parts.warnings[0]
    assert ("forgotten: cup" if moment == "locate" else "forgotten: no target") in parts.warnings[0]
    assert parts.tracker.names == []
    assert parts.status().level == DiagnosticStatus.ERROR
    assert words in parts.status().message

    parts.tracker.failure = None  # the thread lives, and a new target clears the error
    before = found(parts, "cup")
    parts.worker.initialize(InitRequest(BOX, id="cup"))
    wait_for(lambda: found(parts, "cup") > before)
    wait_for(lambda: parts.status().level == DiagnosticStatus.OK)


def test_what_cannot_be_published_forgets_no_target(parts):
    parts.publisher_fails = True
    parts.show(0)
    parts.worker.initialize(InitRequest(BOX, id="cup"))
    for index in range(1, 4):
        before = found(parts, "cup")
        wait_for(lambda: parts.session.targets)
        parts.show(index)
        wait_for(lambda before=before: found(parts, "cup") > before)
    assert [target.id for target in parts.session.targets] == ["cup"]
    assert len(parts.warnings) == 1, "said once"
    assert "publishing failed" in parts.warnings[0]
    assert parts.status().level == DiagnosticStatus.OK


def test_a_flood_of_bad_encodings_is_no_flood_of_warnings(parts):
    for number in range(200):
        parts.show(0, f"purple{number}")
        wait_for(lambda number=number: parts.statistics.bad_images == number + 1)
    assert len(parts.warnings) <= 13
    values = {pair.key: pair.value for pair in parts.status().values}
    assert values["images refused"] == "200"


def test_a_flood_of_inits_ends_with_the_newest_and_no_backlog(parts):
    parts.show(0)
    wait_for(lambda: parts.published)
    for number in range(1000):
        parts.worker.initialize(InitRequest(BOX._replace(x=BOX.x + number / 1000), id="cup"))
    wait_for(lambda: not parts.session.has_work and parts.session.targets)
    wait_for(lambda: abs(parts.session.targets[0].track.box.x - BOX.x - 0.999) < 1e-6)
    assert found(parts, "cup") < 20


def test_a_reset_during_an_initialisation_is_in_force_at_once(parts):
    begun, go_on = threading.Event(), threading.Event()
    add = parts.tracker.add

    def slow_add(*arguments, **named):
        begun.set()
        assert go_on.wait(20)
        return add(*arguments, **named)

    parts.tracker.add = slow_add
    parts.show(0)
    parts.worker.initialize(InitRequest(BOX, id="cup"))
    assert begun.wait(20)
    parts.worker.initialize(InitRequest(BOX, id="ball"))
    parts.session.reset()
    go_on.set()
    parts.show(1)
    wait_for(lambda: parts.published)
    wait_for(lambda: not parts.session.has_work)
    assert all(not result.targets for result in parts.published)
    assert parts.tracker.names == []


def test_while_paused_nothing_is_looked_at_and_targets_can_be_dropped(parts):
    parts.show(0)
    for name in ("cup", "ball"):
        parts.worker.initialize(InitRequest(BOX, id=name))
    wait_for(lambda: len(parts.session.targets) == 2)
    parts.worker.enabled = False
    time.sleep(0.05)
    before = len(parts.published)
    parts.show(1)
    assert parts.session.drop("cup")
    assert not parts.session.drop("nobody")
    time.sleep(0.3)
    assert len(parts.published) == before
    assert parts.status().message == "paused"
    parts.worker.enabled = True
    wait_for(lambda: len(parts.published) > before)
    assert [target.id for target in parts.published[-1].targets] == ["ball"]


def target(name: str, state: State, since: int = 0) -> TargetResult:
    return TargetResult(name, "mug", TrackResult(BOX, 0.5, state, BOX), since)


def test_diagnostics_name_every_target_and_the_lost_ones():
    health = Health((target("a", State.NORMAL), target("b", State.NOT_FOUND, 7)), arrived=9, dropped=2)
    status = diagnostic_status("tracker", "cpu", Statistics(), health)
    values = {pair.key: pair.value for pair in status.values}
    assert values["target a"] == "normal, confidence 0.50, class mug"
    assert "not found for 7 images" in values["target b"]
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "lost: b")
    assert values["state"] == "not_found"


def test_diagnostics_tell_silence_and_a_failed_configure():
    status = diagnostic_status("tracker", "cpu", Statistics(), Health((), 0, 0, silence=4.2))
    assert (status.level, status.message) == (DiagnosticStatus.WARN, "no image has arrived for 4 s")
    assert unconfigured_status("tracker", "").level == DiagnosticStatus.OK
    failed = unconfigured_status("tracker", "configure failed: no such file")
    assert (failed.level, failed.message) == (DiagnosticStatus.ERROR, "configure failed: no such file")


def test_an_image_is_counted_once():
    statistics = Statistics()
    assert [statistics.image_done(number) for number in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    assert statistics.processed == 3
    assert np.isfinite(statistics.rate_out())
