"""What the camera node plays, with the truth about it, and what it keeps of the results."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import numpy as np

from trdimp_ros.evaluation.metrics import read_boxes
from trdimp_ros.media.drawing import contact_sheet, draw_result, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.sources import Frame, FrameSource, open_source
from trdimp_ros.tracking import Box, TrackResult
from trdimp_ros.tracking.geometry import intersection_over_union

SCENE = "scene"
VISIBLE = 0.5
"""Share of the target that must be seen for a frame of the scene to count in the mean overlap."""

SHEET_TILES = 20
LATENCIES = 100_000
"""The last so many latencies are summed up."""


class Clip:
    """What is shown, with its truth where known.

    Args:
        source: `SCENE`, a video file, or a folder of images.
        width: Width of the rendered scene in pixels.
        height: Height of the rendered scene in pixels.

    Raises:
        ValueError: if there is no such source, or its file of true boxes is not one.
    """

    def __init__(self, source: str, width: int, height: int) -> None:
        self.frames: FrameSource
        self._scene = RenderedScene(width, height) if source == SCENE else None
        self._truth: list[Box | None] = []
        if self._scene is not None:
            self.frames = self._scene
        else:
            # Unlike Path.expanduser this leaves the home of an unknown user as it is.
            path = Path(os.path.expanduser(source))
            self.frames = open_source(path)
            truth = path / "groundtruth_rect.txt"
            if truth.is_file():
                self._truth = read_boxes(truth)

    def truth(self, index: int) -> Box | None:
        """The true box of a frame; None where it is unknown or the target cannot be seen well."""
        if self._scene is not None:
            return self._scene.box(index) if self._scene.visibility(index) >= VISIBLE else None
        return self._truth[index] if index < len(self._truth) else None


class Summary:
    """Sums up the results of one round of a clip. A long clip needs no more memory than a short one.

    Attributes:
        answered: Index of the last image that has a result; -1: none.
    """

    def __init__(self) -> None:
        self.answered = -1
        self._results = 0
        self._overlaps = 0.0
        self._with_truth = 0
        self._latencies: deque[float] = deque(maxlen=LATENCIES)

    def add(self, index: int, box: Box, truth: Box | None, latency: float) -> None:
        """Count an image's result: its box, the true one where it is known, and the latency in seconds."""
        if index == self.answered:  # the first image may be sent, and answered, more than once
            return
        self.answered = index
        self._results += 1
        if truth is not None:
            self._overlaps += intersection_over_union(box, truth)
            self._with_truth += 1
        if index > 0:  # the first result waits for the initialisation
            self._latencies.append(latency * 1e3)

    def text(self, shown: int) -> str:
        """One line: frames shown, mean overlap where the truth is known, frames without result, latencies."""
        mean_iou = f"{self._overlaps / self._with_truth:.3f}" if self._with_truth else "unknown"
        median, high = np.percentile(self._latencies or [0.0], (50, 99))
        return (
            f"frames={shown} mean_iou={mean_iou} drops={shown - self._results} "
            f"latency_p50_ms={median:.1f} latency_p99_ms={high:.1f}"
        )


class SheetTiles:
    """Keeps images for the contact sheet, evenly over the clip; between `SHEET_TILES` and twice as many.

    Args:
        frames: Number of frames as the source announces it, which need not be true.
    """

    def __init__(self, frames: int) -> None:
        self._every = max(frames // SHEET_TILES, 1)
        self._images: dict[int, Frame] = {}
        self._drawn: dict[int, Frame] = {}

    def shown(self, index: int, frame: Frame) -> None:
        """Keep the image where it is one of the tiles."""
        if index % self._every:
            return
        self._images[index] = frame
        if len(self._images) + len(self._drawn) > 2 * SHEET_TILES:
            self._every *= 2
            for tiles in (self._images, self._drawn):
                for other in [key for key in tiles if key % self._every]:
                    del tiles[other]

    def found(self, index: int, result: TrackResult, truth: Box | None) -> None:
        """Draw the result of an image that was kept."""
        if index in self._images:
            self._drawn[index] = draw_result(self._images.pop(index), result, truth)

    def write(self, path: Path) -> None:
        """Write the sheet, if there is anything on it.

        Raises:
            ValueError: if the file cannot be written.
        """
        if self._drawn:
            write_image(path, contact_sheet([self._drawn[index] for index in sorted(self._drawn)]))
