"""Trackers that can be evaluated: our presets, and OpenCV's where they are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2

from trdimp_ros.media.sources import Frame
from trdimp_ros.tracking import Box, State, Tracker

OPENCV_TRACKERS = ("csrt", "kcf", "mil", "nano", "vit")


class Answer(NamedTuple):
    """What a tracker says of a frame.

    Attributes:
        box: Where the tracker says that the target is.
        confidence: How sure the tracker is; nan if it does not say.
        state: One of ``normal``, ``uncertain`` or ``not_found``.
    """

    box: Box
    confidence: float
    state: str


class Competitor(Protocol):
    """A tracker as the evaluation uses it."""

    def initialize(self, frame: Frame, box: Box) -> None: ...

    def track(self, frame: Frame) -> Answer: ...


class OwnTracker:
    """A `Tracker` as the evaluation uses it."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def initialize(self, frame: Frame, box: Box) -> None:
        self._tracker.initialize(frame, box)

    def track(self, frame: Frame) -> Answer:
        result = self._tracker.track(frame)
        state = {State.NOT_FOUND: "not_found", State.UNCERTAIN: "uncertain"}.get(result.state, "normal")
        return Answer(result.box, result.confidence, state)


class OpenCVTracker:
    """One of OpenCV's trackers, which take BGR images and whole boxes."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._tracker: Any = None
        self._box = Box(0, 0, 1, 1)

    def initialize(self, frame: Frame, box: Box) -> None:
        try:
            self._tracker = self._create()
            self._tracker.init(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), tuple(round(value) for value in box))
        except cv2.error as error:
            raise ValueError(
                f"OpenCV refuses this tracker, its model files or the box {tuple(box)}: {error}"
            ) from error
        self._box = box

    def track(self, frame: Frame) -> Answer:
        try:
            found, box = self._tracker.update(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        except cv2.error:  # some of them fail on a target at the image's edge
            found, box = False, self._box
        if found:
            self._box = Box(*(float(value) for value in box))
        score = getattr(self._tracker, "getTrackingScore", None)
        return Answer(self._box, float(score()) if score else float("nan"), "normal" if found else "not_found")


def opencv_tracker(name: str, models: list[Path]) -> OpenCVTracker:
    """An OpenCV tracker by name.

    Args:
        name: The tracker's name, one of `OPENCV_TRACKERS`.
        models: ONNX files of the tracker: backbone and head for nano, one file for vit.

    Raises:
        ValueError: if this OpenCV lacks it, or its model files are missing.
    """
    needed = {"nano": 2, "vit": 1}.get(name, 0)
    missing = [str(path) for path in models if not path.is_file()]
    if len(models) != needed:
        raise ValueError(f"tracker {name} needs {needed} model files, written {name}:FILE..., got {len(models)}")
    if missing:
        raise ValueError(f"tracker {name}: no such model file: {', '.join(missing)}")
    if name in ("nano", "vit"):
        kind = "Nano" if name == "nano" else "Vit"
        parameters = getattr(cv2, f"Tracker{kind}_Params")()
        for field, path in zip(("backbone", "neckhead") if name == "nano" else ("net",), models, strict=True):
            setattr(parameters, field, str(path))
        return OpenCVTracker(lambda: getattr(cv2, f"Tracker{kind}_create")(parameters))
    attribute = f"Tracker{name.upper()}_create"
    for module in (cv2, getattr(cv2, "legacy", None)):
        create = getattr(module, attribute, None)
        if create is not None:
            return OpenCVTracker(create)
    raise ValueError(f"this OpenCV ({cv2.__version__}) has no tracker {name}; opencv-contrib-python has it")
