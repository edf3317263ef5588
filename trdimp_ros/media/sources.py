"""Where frames come from: a video file or a folder of images."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros import MAX_IMAGE_PIXELS
from trdimp_ros.media.files import opencv_path

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
FOLDER_RATE = 25.0
"""Frames per second assumed for a folder of images."""

MAX_IMAGE_BYTES = 2**30
"""Size of an image file."""

_ALLOWED = f"an image may have {MAX_IMAGE_PIXELS} pixels"

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


class FrameSource(Protocol):
    """An ordered set of frames.

    Attributes:
        rate: Frames per second.
    """

    rate: float

    def __len__(self) -> int:
        """Number of frames, as announced by the file."""

    def __iter__(self) -> Iterator[Frame]: ...


class ImageFolder:
    """The images of a folder in the order of the numbers in their names.

    Args:
        folder: The folder that holds the images, itself or in its subfolder ``img`` (the OTB layout).

    Raises:
        ValueError: if it holds none.
    """

    rate = FOLDER_RATE

    def __init__(self, folder: Path) -> None:
        candidates = [folder / "img", folder]
        for candidate in candidates:
            if candidate.is_dir():
                files = [path for path in candidate.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
                if files:
                    self.files = sorted(files, key=_natural_order)
                    return
        raise ValueError(f"no images in {folder}; wanted are {', '.join(sorted(IMAGE_SUFFIXES))}")

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        for file in self.files:
            yield read_image(file)


class VideoFile:
    """The frames of a video file.

    Args:
        path: A video file of any format that OpenCV reads.

    Raises:
        ValueError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        capture = self._open()
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        self.rate = rate if 0 < rate < 1000 else FOLDER_RATE
        self._count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        capture.release()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Frame]:
        capture = self._open()
        try:
            while True:
                more, frame = capture.read()
                if not more:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        with opencv_path(self.path.absolute()) as name:
            capture = cv2.VideoCapture(name)
        if not capture.isOpened():
            raise ValueError(f"cannot read the video {self.path}; is it damaged, or of a format OpenCV does not know?")
        width, height = (capture.get(size) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > MAX_IMAGE_PIXELS:
            capture.release()
            raise ValueError(f"{self.path}: frames of {width:.0f}x{height:.0f} pixels; {_ALLOWED}")
        return capture


def open_source(path: str | Path) -> FrameSource:
    """A video file or a folder of images.

    Raises:
        ValueError: if there is no such file or folder, or nothing in it can be read.
    """
    path = Path(path)
    if path.is_dir():
        return ImageFolder(path)
    if not path.is_file():
        raise ValueError(f"no such video file or folder of images: {path}")
    return VideoFile(path)


def read_image(path: Path) -> Frame:
    """Read an image file as RGB.

    Args:
        path: A file of any format that OpenCV reads. Its size in pixels is checked before anything is decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if it cannot be read, or has more than `MAX_IMAGE_PIXELS`.
    """
    if not path.is_file():
        raise ValueError(f"no such image file: {path}")
    size = path.stat().st_size
    if size > MAX_IMAGE_BYTES:
        raise ValueError(f"{path}: an image file of {size} bytes; at most {MAX_IMAGE_BYTES} are allowed")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # OpenCV's own check of the header
        raise ValueError(f"cannot read the image {path}: {_ALLOWED}, or it is damaged") from error
    if image is None:
        raise ValueError(f"cannot read the image {path}; is it damaged?")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _natural_order(path: Path) -> tuple[list[int], str]:
    """Sort key: the numbers in the name, so that 2 comes before 10."""
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name
