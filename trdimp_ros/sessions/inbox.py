"""What any thread may say to a session and ask of it at any time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from trdimp_ros.sessions.candidates import Candidate, HandOffSettings
from trdimp_ros.sessions.image_buffer import BufferLimits, ImageBuffer, ImageSource
from trdimp_ros.sessions.requests import MAX_TEXT, InitRequest, RequestBox
from trdimp_ros.sessions.results import Problem, ProblemKind, TargetResult
from trdimp_ros.sessions.sightings import SightingBox
from trdimp_ros.tracking import TrackerConfig

MAX_PROBLEMS = 100
"""So many problems are kept until somebody asks for them; then the oldest are forgotten."""


class SessionInbox:
    """The part of a `TrackingSession` that is safe to use from several threads: it takes note and returns at once.

    Args:
        config: The tracker's parameters in force.
        max_targets: The number of targets that there is room for.
        limits: How many images of the past are kept.
        clock: The monotonic clock, seconds.
    """

    def __init__(
        self, config: TrackerConfig, max_targets: int, limits: BufferLimits | None, clock: Callable[[], float]
    ) -> None:
        self._config = config
        self._clock = clock
        self._images = ImageBuffer(limits, clock)
        self._requests = RequestBox(max_targets, clock)
        self._sightings = SightingBox(clock)
        self._hand_off_settings = HandOffSettings()
        self._problems: deque[Problem] = deque(maxlen=MAX_PROBLEMS)
        self._targets: tuple[TargetResult, ...] = ()  # replaced as a whole, so that any thread can read it

    @property
    def images_arrived(self) -> int:
        """The number of images offered."""
        return self._images.arrived

    @property
    def images_dropped(self) -> int:
        """The number of images that were not looked at because a newer one came."""
        return self._images.dropped

    @property
    def candidates_received(self) -> int:
        """The number of a detector's messages that could be used."""
        return self._sightings.received

    @property
    def targets(self) -> tuple[TargetResult, ...]:
        """What was last seen of every target, in the order in which they were started."""
        return self._targets

    @property
    def seconds_without_image(self) -> float | None:
        """The time since an image has arrived, seconds of the monotonic clock; None where none is kept."""
        newest = self._images.newest()
        return None if newest is None else self._clock() - newest.arrival

    def offer(self, image: ImageSource) -> bool:
        """Take note of the newest image; it takes the place of one that was not looked at yet.

        Returns:
            False when its stamp lies before the last one's; the images before it are then forgotten. True otherwise.
        """
        return self._images.put(image)

    def request(self, request: InitRequest) -> None:
        """Take note that a target shall be started; the newest request for an id counts.

        What cannot be done is told by `take_problems` once its turn has come.
        """
        for name, text in (("id", request.id), ("label", request.label)):
            if len(text) > MAX_TEXT:
                reason = f"the {name} has {len(text)} characters, more than {MAX_TEXT}: {text[:20]!r}..."
                self._problems.append(Problem(ProblemKind.INIT, reason))
                return
        restart = any(target.id == request.id for target in self._targets)
        self._requests.put(request, restart)

    def offer_candidates(self, candidates: Sequence[Candidate], stamp: int = 0) -> None:
        """Take note of what a detector has seen; it takes the place of what was not looked at yet.

        While `HandOffSettings.auto_init` is off nothing is done. What cannot be used is told by `take_problems`.

        Args:
            candidates: What it has seen in one image; the `MOST_CANDIDATES` with the highest scores count.
            stamp: The stamp of that image, nanoseconds; 0: the image that is the newest now.
        """
        if self._hand_off_settings.auto_init == "off":
            return
        newest = self._images.newest()
        try:
            self._sightings.put(candidates, stamp, None if newest is None else newest.number)
        except ValueError as error:
            self._problems.append(Problem(ProblemKind.CANDIDATES, str(error)))

    def drop(self, target_id: str) -> bool:
        """Forget one target, and what waits for its id.

        Returns:
            Whether there was such a target or a request for it.
        """
        if len(target_id) > MAX_TEXT:
            return False
        waited = self._requests.drop(target_id)
        known = any(target.id == target_id for target in self._targets)
        self._targets = tuple(target for target in self._targets if target.id != target_id)
        return waited or known

    def reset(self) -> None:
        """Forget all targets, requests and candidates. Nothing that `step` returns from now on speaks of them."""
        self._requests.reset()
        self._sightings.clear()
        self._targets = ()

    def forget_images(self) -> None:
        """Forget the images, and the candidates of them; the targets stay."""
        self._images.clear()
        self._sightings.clear()

    def set_config(self, config: TrackerConfig) -> None:
        """Change the tracker's parameters from the next image on.

        Raises:
            ValueError: when a field differs that cannot change in a running tracker.
        """
        fixed = self._config.fixed_differences(config)
        if fixed:
            raise ValueError(f"{', '.join(fixed)} cannot change in a running tracker; build a new one")
        self._config = config

    def set_hand_off(self, settings: HandOffSettings) -> None:
        """Change what is done with a detector's candidates, from the next ones on."""
        self._hand_off_settings = settings

    def take_problems(self) -> list[Problem]:
        """What was refused since the last call."""
        problems = []
        while self._problems:
            problems.append(self._problems.popleft())
        return problems
