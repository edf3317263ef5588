"""The tracking session: requests and images in, results per target and image out."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.sessions.detector_hand_off import DetectorHandOff, HandOffCounts
from trdimp_ros.sessions.image_buffer import BufferedImage, BufferLimits, ImmediateImage
from trdimp_ros.sessions.inbox import SessionInbox
from trdimp_ros.sessions.init_image import ImageFinder
from trdimp_ros.sessions.registry import SessionTarget
from trdimp_ros.sessions.requests import WaitingInit
from trdimp_ros.sessions.results import ImageResult, Problem, ProblemKind, TargetResult
from trdimp_ros.sessions.sightings import WaitingSighting
from trdimp_ros.sessions.timing import OFFLINE, CatchUpPace, RestartLimit, Timing
from trdimp_ros.sessions.tracked_targets import TrackedTargets
from trdimp_ros.tracking import Box, MultiTracker, State, TrackResult
from trdimp_ros.tracking.frame_pass import StageHook, no_stage
from trdimp_ros.tracking.geometry import check_image

Work = Callable[[], ImageResult | None]


class TrackingSession(SessionInbox):
    """Follows several targets through a stream of images.

    Images and requests may come from any thread at any time: `offer`, `request`, `offer_candidates`, `drop`, `reset`,
    `set_config` and `set_hand_off` only take note. One thread does the work: `step` does the next piece of it, `learn`
    what need not be done before a result is used. `track` does all of it for one image.

    A target is started in the image that its request names. If that is an image of the past, the target catches up with
    the present, skipping images where time does not suffice, while the other targets go on.

    Example::

        session = TrackingSession(MultiTracker(network, preset("compact"), max_targets=4))
        session.request(InitRequest(Box(100, 80, 60, 40), id="cup"))
        for number, pixels in enumerate(images):
            for target in session.track(pixels, stamp=number * 40_000_000).targets:
                print(target.id, target.track.box, target.track.state.name)

    Args:
        tracker: The tracker; the session is its only user from now on.
        limits: How many images of the past are kept.
        timing: What is done for the sake of time: `OFFLINE` or `REAL_TIME`.
        clock: The monotonic clock, seconds.
        stage: Called when the newest image is decoded, as the tracker's own hook is called after its stages.
    """

    def __init__(
        self,
        tracker: MultiTracker,
        limits: BufferLimits | None = None,
        timing: Timing = OFFLINE,
        clock: Callable[[], float] = time.monotonic,
        stage: StageHook = no_stage,
    ) -> None:
        super().__init__(tracker.config, tracker.max_targets, limits, clock)
        self._timing = timing
        self._stage = stage
        self._finder = ImageFinder(self._images, timing.image_patience, clock)
        self._restarts = RestartLimit(timing.restart_share, clock)
        self._tracked = TrackedTargets(tracker, self._take_snapshot)
        self._registry = self._tracked.registry
        self._hand_off = DetectorHandOff(self._tracked, self._finder, timing, clock, self.request)
        self._taken = -1  # the number of the newest image that was looked at
        self._image_was_last = False
        self._reported: tuple[int, dict[str, TargetResult]] = (-1, {})

    @property
    def has_work(self) -> bool:
        """Whether `step` can do something now."""
        return self._requests.has_orders or self._images.has_waiting or self._next_work() is not None

    def step(self) -> ImageResult | None:
        """Do the next piece of work: look for the targets in the newest image, start a target, or help one catch up.

        Images and the other work take turns; where no target would wait for its image, the other work comes first. Call
        `learn` after using the result.

        Returns:
            What is new about an image; None when there is nothing to tell.

        Raises:
            Exception: what the tracker raised, for example when the device's memory is exhausted. The targets that it
                concerned are then forgotten, and the session can go on.
        """
        self.learn()
        self._carry_out_orders()
        self._tracked.configure(self._config, self._hand_off_settings.auto_init != "off")
        work = self._next_work()
        if self._images.has_waiting and (work is None or (self._registry.present and not self._image_was_last)):
            self._image_was_last = True
            return self._look_at_newest()
        self._image_was_last = False
        return work() if work is not None else None

    def learn(self) -> None:
        """Learn from the image that `step` looked at last, where the targets were seen clearly."""
        self._tracked.learn()

    def track(self, pixels: NDArray[np.uint8], stamp: int = 0) -> ImageResult:
        """Offer an image and do all work.

        Args:
            pixels: The image (H, W, 3) uint8 RGB.
            stamp: When it was taken, nanoseconds; 0: unknown.

        Returns:
            Every target in this image.

        Raises:
            ValueError: for an image that cannot be used; the session is then unchanged.
        """
        image = ImmediateImage(check_image(pixels), stamp)
        self.offer(image)
        newest = self._images.newest()
        assert newest is not None
        while self.has_work:
            self.step()
            self.learn()
        found = tuple(target.result for target in self._registry if target.image.number == newest.number)
        return ImageResult(newest, pixels, found, first_id=self._registry.first_id)

    @property
    def hand_off_counts(self) -> HandOffCounts:
        """What has become of a detector's candidates so far."""
        return self._hand_off.counts

    def score_map(self, target_id: str) -> NDArray[np.float32] | None:
        """The score map (rows, columns) of the image that a target was looked for in last; None where there is none."""
        target = self._registry.get(target_id)
        return None if target is None else self._tracked.tracker.score_map(target.key)

    # Looking for targets

    def _look_at_newest(self) -> ImageResult | None:
        image = self._images.take()
        if image is None:  # forgotten in the meantime
            return None
        self._taken = image.number
        pixels = self._decode(image)
        if pixels is None:
            return None
        self._stage("decode")
        due = [target for target in self._registry if self._is_due(target, image)]
        targets = self._locate(due, image, pixels)
        for target in due:
            self._tracked.caught_up(target)
            target.reported = target.seen
        return self._report(image, pixels, targets)

    def _is_due(self, target: SessionTarget, image: BufferedImage) -> bool:
        """Whether a target is to be looked for in the newest image: one that catches up joins when it is its next."""
        if target.pace is None:
            return target.seen < image.number
        return self._images.between(target.seen, image.number) == [image]

    def _locate(
        self, targets: list[SessionTarget], image: BufferedImage, pixels: NDArray[np.uint8]
    ) -> tuple[TargetResult, ...]:
        """Look for some of the targets in an image; returns the results of those that were not dropped meanwhile."""
        if not targets:
            return ()
        self._tracked.locate(targets, image, pixels)
        self._carry_out_orders()
        return tuple(target.result for target in targets if self._tracked.is_known(target))

    def _report(
        self, image: BufferedImage, pixels: NDArray[np.uint8], targets: tuple[TargetResult, ...]
    ) -> ImageResult:
        self._take_snapshot()
        number, reported = self._reported
        earlier = {name: one for name, one in reported.items() if name in self._registry and number == image.number}
        if image.number >= number:
            self._reported = image.number, earlier | {target.id: target for target in targets}
        return ImageResult(image, pixels, targets, tuple(earlier.values()), self._registry.first_id)

    def _decode(self, image: BufferedImage) -> NDArray[np.uint8] | None:
        try:
            return check_image(image.source.decode())
        except ValueError as error:
            self._problems.append(Problem(ProblemKind.IMAGE, str(error)))
            return None

    # Starting targets and catching up

    def _next_work(self) -> Work | None:
        """What is to be done beside looking at the newest image. Requests come first: catching up takes many steps."""
        for waiting in self._requests.waiting():
            if self._finder.is_decided(waiting.request.stamp, waiting.since) and not self._must_wait(waiting):
                return partial(self._start, waiting)
        sighting = self._hand_off.next_ready(self._sightings.waiting())
        if sighting is not None:
            return partial(self._use_candidates, sighting)
        behind = self._registry.behind
        # In turn: the one whose image was seen longest ago.
        return partial(self._catch_up, min(behind, key=lambda target: target.seen)) if behind else None

    def _must_wait(self, waiting: WaitingInit) -> bool:
        """Whether a restart waits so that the other targets get their share of the time."""
        others = any(target.id != waiting.request.id for target in self._registry.present)
        return others and self._restarts.must_wait(waiting.request.id)

    def _start(self, waiting: WaitingInit) -> ImageResult | None:
        orders = self._requests.take(waiting)
        if orders is None:  # a newer one has come
            return None
        self._tracked.obey(orders)
        request = waiting.request
        target_id = request.id or self._registry.new_id()
        try:
            key = self._registry.key_for(target_id)
            image, pixels = self._finder.find(request)
            self._learn_target(target_id, key, pixels, request.box)
        except ValueError as error:
            self._problems.append(Problem(ProblemKind.INIT, str(error), request.id))
            return None
        result = TargetResult(target_id, request.label, TrackResult(request.box, 1.0, State.NORMAL, request.box))
        pace = CatchUpPace(self._timing.catch_up_seconds, self._clock)
        target = SessionTarget(target_id, request.label, key, image.number, result, image, pixels, pace)
        self._registry.add(target)
        self._carry_out_orders()
        self._take_snapshot()
        if target_id not in self._registry or self._images_before_present(target):
            return None
        return self._arrive(target)

    def _learn_target(self, target_id: str, key: int, pixels: NDArray[np.uint8], box: Box) -> None:
        begun = self._clock()
        self._tracked.learn_target(key, pixels, box)
        self._restarts.started(target_id, self._clock() - begun)

    def _images_before_present(self, target: SessionTarget) -> list[BufferedImage]:
        """The images between what a target saw last and the present.

        The present is the image that the other targets have seen; for one that is alone, the newest.
        """
        present = self._taken if self._registry.present else self._images.arrived - 1
        return self._images.between(target.seen, present)

    def _catch_up(self, target: SessionTarget) -> ImageResult | None:
        images = self._images_before_present(target)
        if not images or target.pace is None:
            return self._arrive(target)
        index = target.pace.next_index(len(images))
        image = images[index]
        target.seen = image.number  # also where it cannot be decoded
        pixels = self._decode(image)
        if pixels is not None:
            target.pixels = pixels
            self._locate([target], image, pixels)
        target.pace.step_done()
        if target.id not in self._registry or index < len(images) - 1:
            return None
        return self._arrive(target)

    def _arrive(self, target: SessionTarget) -> ImageResult | None:
        """A target has reached the present: report it for the last image that it was looked for in, if that is new."""
        pixels = target.pixels
        assert pixels is not None
        self._tracked.caught_up(target)
        if self._registry.present == [target]:  # nobody else waits for this image
            self._images.mark_taken(target.seen)
            self._taken = max(self._taken, target.seen)
        if target.image.number <= target.reported:  # as lost, before a detector brought it back
            return None
        target.reported = target.image.number
        return self._report(target.image, pixels, (target.result,))

    def _use_candidates(self, waiting: WaitingSighting) -> None:
        if not self._sightings.take(waiting):  # forgotten in the meantime
            return
        try:
            self._hand_off.use(waiting, self._hand_off_settings, len(self._requests))
        except ValueError as error:
            self._problems.append(Problem(ProblemKind.CANDIDATES, str(error)))

    # Forgetting

    def _carry_out_orders(self) -> None:
        if not self._requests.has_orders:
            return
        self._tracked.obey(self._requests.take_orders())

    def _take_snapshot(self) -> None:
        if not self._requests.has_orders:
            self._targets = tuple(target.result for target in self._registry)
