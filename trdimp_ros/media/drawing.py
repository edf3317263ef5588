"""Drawing results into frames, writing them as a video or a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from trdimp_ros.media.files import complete_file, opencv_path, undisturbed
from trdimp_ros.media.sources import Frame
from trdimp_ros.tracking import Box, State, TrackResult

COLORS = {
    State.NORMAL: (60, 220, 60),
    State.HARD_NEGATIVE: (120, 220, 60),
    State.UNCERTAIN: (255, 190, 0),
    State.NOT_FOUND: (255, 60, 60),
}
"""RGB; a found target is green, a doubtful one amber, a lost one red."""

MAX_LABEL = 32
"""Characters of a target's id that are drawn."""

SEARCH_AREA_COLOR = (110, 160, 255)
TRUTH_COLOR = (255, 255, 255)

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def draw_result(frame: Frame, result: TrackResult, truth: Box | None = None, label: str = "") -> Frame:
    """A copy of the frame with search area, box, label, state and confidence, and the true box where known.

    The box of a target that was not found is where it was last; it is drawn thin.
    """
    canvas = np.ascontiguousarray(frame).copy()
    color = COLORS[result.state]
    unit = max(1, round(min(frame.shape[:2]) / 360))
    _rectangle(canvas, result.search_area, SEARCH_AREA_COLOR, 1)
    if truth is not None:
        _rectangle(canvas, truth, TRUTH_COLOR, 1)
    _rectangle(canvas, result.box, color, 2 * unit if result.found else 1)
    text = f"{label} {result.state.name.lower()} {result.confidence:.2f}".strip()
    _text(canvas, text, (6 * unit, 18 * unit), 0.5 * unit, color)
    return canvas


def draw_results(
    frame: Frame, results: Sequence[tuple[str, TrackResult]], caption: str = "", truths: Sequence[Box] = ()
) -> Frame:
    """A copy of the frame with several targets, each with its search area, box, id, state and confidence at the box.

    Args:
        frame: The image (H, W, 3) uint8 RGB.
        results: The id and the result of every target.
        caption: Written into the upper left corner.
        truths: True boxes, where they are known.
    """
    canvas = np.ascontiguousarray(frame).copy()
    unit = max(1, round(min(frame.shape[:2]) / 360))
    for truth in truths:
        _rectangle(canvas, truth, TRUTH_COLOR, 1)
    for name, result in results:
        color = COLORS[result.state]
        _rectangle(canvas, result.search_area, SEARCH_AREA_COLOR, 1)
        _rectangle(canvas, result.box, color, 2 * unit if result.found else 1)
        left = np.clip(result.box.x, 0, frame.shape[1] - 1)
        top = np.clip(result.box.y - 4 * unit, 12 * unit, frame.shape[0] - 1)
        if np.isfinite([left, top]).all():
            text = f"{name[:MAX_LABEL]} {result.state.name.lower()} {result.confidence:.2f}"
            _text(canvas, text, (round(left), round(top)), 0.4 * unit, color)
    if caption:
        _text(canvas, caption, (6 * unit, 18 * unit), 0.5 * unit, TRUTH_COLOR)
    return canvas


def contact_sheet(frames: list[Frame], columns: int = 5, width: int = 320) -> Frame:
    """The frames side by side, row after row, each scaled to the same width.

    Raises:
        ValueError: for no frames.
    """
    if not frames:
        raise ValueError("a contact sheet needs at least one frame")
    height = round(width * frames[0].shape[0] / frames[0].shape[1])
    tiles = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
    blank = np.zeros_like(tiles[0])
    rows = math.ceil(len(tiles) / columns)
    tiles += [blank] * (rows * columns - len(tiles))
    lines = [np.concatenate(tiles[row * columns : (row + 1) * columns], axis=1) for row in range(rows)]
    return np.concatenate(lines).astype(np.uint8, copy=False)


def write_image(path: Path, frame: Frame) -> None:
    """Write an RGB image; the file appears when it is complete.

    Args:
        path: The file; its suffix decides the format.
        frame: The image, (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if the format is unknown or the folder does not exist.
        OSError: if the file cannot be written.
    """
    try:
        encoded, data = cv2.imencode(path.suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    except cv2.error as error:
        raise ValueError(f"cannot write {path} as an image: {error.err}") from error
    if not encoded:
        raise ValueError(f"cannot write {path}: OpenCV cannot encode {path.suffix or 'a file without suffix'}")
    with complete_file(path) as file:
        file.write_bytes(data.tobytes())


class VideoWriter:
    """Writes RGB frames of one size to an .mp4 or .avi file; a context manager.

    The file appears at the end, when it is complete and can be read back; also after an interrupt. After an error, or
    without a frame, what stood there before stays.

    Args:
        path: The file to write.
        rate: Frames per second.

    Raises:
        ValueError: for another suffix, or a folder that does not exist; at the end if the file cannot be read back,
            which is what a full disk looks like.
        OSError: if the folder cannot be written.
    """

    def __init__(self, path: Path, rate: float) -> None:
        if path.suffix not in CODECS:
            raise ValueError(f"a video must end in {' or '.join(CODECS)}, got {path}")
        if path.exists() and not path.is_file():
            raise ValueError(f"cannot write the video {path}: it is no file")
        if not path.parent.is_dir():
            raise ValueError(f"cannot write the video {path}: there is no folder {path.parent}")
        self._path, self._rate = path, rate
        self._cleanup = ExitStack()
        self._writer: cv2.VideoWriter | None = None
        self._name = ""
        self._size = (0, 0)
        self._count = 0

    def __enter__(self) -> VideoWriter:
        with ExitStack() as opening:
            file = opening.enter_context(complete_file(self._path))
            self._name = opening.enter_context(opencv_path(file))
            opening.push(self._close)
            self._cleanup = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def write(self, frame: Frame) -> None:
        """Append a frame; one of another size than the first is resized."""
        with undisturbed():
            try:
                self._append(frame)
            except KeyboardInterrupt:
                # Python runs a signal's handler in the main thread, whichever thread the signal has reached. Who
                # catches the interrupt has a first frame, and a file without it would be no video.
                if not self._count:
                    self._append(frame)
                raise

    def _append(self, frame: Frame) -> None:
        writer = self._writer or self._open((frame.shape[1], frame.shape[0]))
        if (frame.shape[1], frame.shape[0]) != self._size:
            frame = cv2.resize(frame, self._size).astype(np.uint8, copy=False)
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._count += 1

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix])
        self._size, self._writer = size, cv2.VideoWriter(self._name, codec, self._rate, size)
        if not self._writer.isOpened():
            raise ValueError(f"cannot write the video {self._path}; is the disk full?")
        return self._writer

    def _close(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        with undisturbed():
            if self._writer is not None:
                self._writer.release()
            complete = (kind is not None and not (interrupted and self._count)) or self._readable()
        if not complete:
            raise ValueError(f"cannot write the video {self._path} to its end; is the disk full?")

    def _readable(self) -> bool:
        """Whether the file holds all frames: OpenCV's writer never says that it could not write."""
        if not self._count:
            return False
        capture = cv2.VideoCapture(self._name)
        try:
            # An interrupt can come between writing and counting: the file may hold one more.
            if int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) < self._count:
                return False
            capture.set(cv2.CAP_PROP_POS_FRAMES, self._count - 1)
            return capture.read()[0]
        finally:
            capture.release()


def _rectangle(canvas: Frame, box: Box, color: tuple[int, int, int], thickness: int) -> None:
    if not all(math.isfinite(value) and abs(value) < 1e6 for value in box):
        return
    corner = round(box.x), round(box.y)
    opposite = round(box.x + box.w), round(box.y + box.h)
    cv2.rectangle(canvas, corner, opposite, color, thickness, cv2.LINE_AA)


def _text(canvas: Frame, text: str, origin: tuple[int, int], size: float, color: tuple[int, int, int]) -> None:
    for ink, thickness in (((0, 0, 0), 3), (color, 1)):
        cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size, ink, thickness, cv2.LINE_AA)
