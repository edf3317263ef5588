"""The tracking thread: drives the session, publishes what it finds, and survives what fails.

It is the only thread that computes; the executor's thread hands over images and requests and never waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import torch
from sensor_msgs.msg import CompressedImage, Image

from trdimp_ros.ros.diagnostics import Health
from trdimp_ros.ros.image_decoding import MessageImage
from trdimp_ros.ros.limited_log import LimitedLog
from trdimp_ros.ros.statistics import Statistics
from trdimp_ros.sessions import Candidate, ImageResult, InitRequest, ProblemKind, TrackingSession

WAKE_UP_SECONDS = 0.1
"""The thread looks for work at least this often: a request may have waited for too long."""


class TrackingWorker:
    """Drives a session in a thread of its own.

    What needs no thread, such as forgetting a target, is asked of the session itself.

    Args:
        session: The session.
        statistics: What the thread writes its counts and times to.
        publish: Called in the thread with every result, between looking for the targets and learning from the image.
        warn: Writes a warning to the log.

    Attributes:
        session: The session that it drives.
    """

    def __init__(
        self,
        session: TrackingSession,
        statistics: Statistics,
        publish: Callable[[ImageResult], None],
        warn: Callable[[str], None],
    ) -> None:
        self.session = session
        self._statistics = statistics
        self._publish = publish
        self._image_log, self._init_log = LimitedLog(warn), LimitedLog(warn)
        self._candidates_log, self._failure_log = LimitedLog(warn), LimitedLog(warn)
        self._enabled = True
        self._stopped = False
        self._work = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    # Called from the executor's thread

    @property
    def enabled(self) -> bool:
        """Whether images are looked at; while they are not, the targets are kept."""
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._work.set()

    def take_image(self, message: Image | CompressedImage, arrival: int) -> bool:
        """Hand over the newest image with its time of arrival in nanoseconds of the node's clock.

        Returns:
            False when its stamp lies before the last one's.
        """
        forwards = self.session.offer(MessageImage(message, arrival))
        self._work.set()
        return forwards

    def initialize(self, request: InitRequest) -> None:
        """Start or restart a target; the newest request for an id counts."""
        self.session.request(request)
        self._work.set()

    def suggest(self, candidates: Sequence[Candidate], stamp: int) -> None:
        """Tell what a detector has seen in the image with a stamp, nanoseconds; the newest message counts."""
        self.session.offer_candidates(candidates, stamp)
        self._work.set()

    def health(self, silence: float | None) -> Health:
        """The state of things for the diagnostics."""
        session = self.session
        return Health(
            session.targets,
            session.images_arrived,
            session.images_dropped,
            not self._enabled,
            silence,
            session.candidates_received,
            session.hand_off_counts,
        )

    def stop(self, patience: float | None = None) -> None:
        """End the thread after the running piece of work; wait for it this many seconds at most."""
        self._stopped = True
        self._work.set()
        self._thread.join(patience)

    # The tracking thread

    def _run(self) -> None:
        while not self._stopped:
            self._work.wait(WAKE_UP_SECONDS)
            self._work.clear()
            self._tell_problems()
            while not self._stopped and self._enabled and self._do(lambda: self.session.has_work):
                self._do(self._advance)
                self._tell_problems()

    def _advance(self) -> bool:
        """Do one piece of the session's work."""
        self._statistics.frame_started()
        begun = time.monotonic()
        result = self.session.step()
        if result is not None:
            if self._statistics.image_done(result.image.number):
                self._statistics.record("queue", 1e3 * (begun - result.image.arrival))
            self._hand_out(result)
        self.session.learn()
        return True

    def _do(self, work: Callable[[], bool]) -> bool:
        """Run something; a bug must not end the thread and leave a node that looks alive."""
        before = self.session.targets
        try:
            return work()
        except torch.cuda.OutOfMemoryError as error:
            reason = f"out of device memory: {error}. Use a smaller preset, another precision or the CPU"
        except Exception as error:
            reason = f"the tracker failed ({type(error).__name__}: {error})"
        left = {target.id for target in self.session.targets}
        lost = [target.id for target in before if target.id not in left]
        self._statistics.error = reason
        self._failure_log.now_and_then(f"{reason}; forgotten: {', '.join(lost) or 'no target'}")
        return False

    def _hand_out(self, result: ImageResult) -> None:
        if result.targets:
            self._statistics.error = ""
        try:
            self._publish(result)
        except Exception as error:  # no reason to forget a target
            self._failure_log.once(f"publishing failed ({type(error).__name__}: {error})")
        self._statistics.stage_done("publish")

    def _tell_problems(self) -> None:
        for problem in self.session.take_problems():
            self._statistics.last_problem = str(problem)
            if problem.kind is ProblemKind.IMAGE:
                self._statistics.bad_images += 1
                self._image_log.once(str(problem))
            elif problem.kind is ProblemKind.CANDIDATES:
                self._statistics.refused_candidates += 1
                self._candidates_log.now_and_then(str(problem))
            else:
                self._statistics.refused_inits += 1
                self._init_log.now_and_then(str(problem))
