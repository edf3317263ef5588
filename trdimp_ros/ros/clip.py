"""What the camera node plays, with the truth about it, and what it keeps of the results."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import numpy as np

from trdimp_ros.evaluation.metrics import read_boxes
from trdimp_ros.media.demo_scene import demo_scene
from trdimp_ros.media.drawing import contact_sheet, draw_result, draw_results, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.media.sources import Frame, FrameSource, open_source
from trdimp_ros.tracking import Box, TrackResult
from trdimp_ros.tracking.geometry import intersection_over_union

SCENE, TWO_TARGETS = "scene", "two_targets"
VISIBLE = 0.5
"""Share of the target that must be seen for a frame of a scene to count in the mean overlap."""
FOUND_AGAIN = 0.5
"""Overlap from which on a target that has returned counts as found."""

SHEET_TILES = 20
LATENCIES = 100_000
"""The last so many latencies are summed up."""


class Clip:
    """What is shown, with its truth where known.

    Args:
        source: `SCENE`, `TWO_TARGETS`, a video file, or a folder of images.
        width: Width of a rendered scene in pixels.
        height: Height of a rendered scene in pixels.

    Raises:
        ValueError: if there is no such source, or its file of true boxes is not one.

    Attributes:
        frames: The images.
        ids: The ids of the targets; of a single one it is empty, and the tracker may choose it.
    """

    def __init__(self, source: str, width: int, height: int) -> None:
        self.frames: FrameSource
        self.ids: tuple[str, ...] = ("",)
        self._truth: list[Box | None] = []
        if source == SCENE:
            self.frames = RenderedScene(width, height)
        elif source == TWO_TARGETS:
            self.frames = scene = demo_scene(width, height)
            self.ids = tuple(str(number + 1) for number in range(scene.script.targets))
        else:
            # Unlike Path.expanduser this leaves the home of an unknown user as it is.
            path = Path(os.path.expanduser(source))
            self.frames = open_source(path)
            truth = path / "groundtruth_rect.txt"
            if truth.is_file():
                self._truth = read_boxes(truth)

    def truth(self, index: int, target: int = 0) -> Box | None:
        """The true box of a target in a frame; None where it is unknown or the target cannot be seen well.

        Args:
            index: The frame.
            target: The target's place in `ids`.
        """
        if isinstance(self.frames, RenderedScene):
            return self.frames.box(index) if self.frames.visibility(index) >= VISIBLE else None
        if isinstance(self.frames, ScriptedScene):
            return self.frames.box(index, target) if self.frames.visibility(index, target) >= VISIBLE else None
        return self._truth[index] if index < len(self._truth) else None


class Summary:
    """Sums up the results of one target in one round of a clip. A long clip needs no more memory than a short one.

    Attributes:
        answered: Index of the last image that has a result; -1: none.
    """

    def __init__(self) -> None:
        self.answered = -1
        self._results = 0
        self._overlaps = 0.0
        self._with_truth = 0
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._returns = self._found_again = 0
        self._away = self._sought = False

    def add(self, index: int, result: TrackResult, truth: Box | None, latency: float) -> None:
        """Count what is said of an image.

        Args:
            index: The image's; one that does not come after the last is not counted.
            result: What is said of it.
            truth: The true box where it is known and the target can be seen.
            latency: Seconds from the image to its result.
        """
        if index <= self.answered:  # the first image may be sent, and answered, more than once
            return
        self.answered = index
        self._results += 1
        if truth is None:
            self._away, self._sought = self._with_truth > 0, False
        else:
            overlap = intersection_over_union(result.box, truth)
            self._overlaps += overlap
            self._with_truth += 1
            self._count_return(result.found and overlap >= FOUND_AGAIN)
        if index > 0:  # the first result waits for the initialisation
            self._latencies.append(latency * 1e3)

    def _count_return(self, found: bool) -> None:
        if self._away:
            self._returns += 1
            self._away, self._sought = False, True
        if self._sought and found:
            self._found_again += 1
            self._sought = False

    def text(self, shown: int) -> str:
        """One line: frames shown, mean overlap and returns where the truth is known, frames without result, latencies.

        Args:
            shown: The number of images.
        """
        mean_iou = f"{self._overlaps / self._with_truth:.3f}" if self._with_truth else "unknown"
        median, high = np.percentile(self._latencies or [0.0], (50, 99))
        returns = f" found_again={self._found_again}/{self._returns}" if self._returns else ""
        return (
            f"frames={shown} mean_iou={mean_iou} drops={shown - self._results} "
            f"latency_p50_ms={median:.1f} latency_p99_ms={high:.1f}{returns}"
        )


class SheetTiles:
    """Keeps images for the contact sheet, evenly over the clip; between `SHEET_TILES` and twice as many.

    Args:
        frames: Number of frames as the source announces it, which need not be true.
    """

    def __init__(self, frames: int) -> None:
        self._every = max(frames // SHEET_TILES, 1)
        self._images: dict[int, Frame] = {}
        self._results: dict[int, dict[str, tuple[TrackResult, Box | None]]] = {}

    def shown(self, index: int, frame: Frame) -> None:
        """Keep the image where it is one of the tiles."""
        if index % self._every:
            return
        self._images[index] = frame
        if len(self._images) > 2 * SHEET_TILES:
            self._every *= 2
            for tiles in (self._images, self._results):
                for other in [key for key in tiles if key % self._every]:
                    del tiles[other]

    def found(self, index: int, target: str, result: TrackResult, truth: Box | None) -> None:
        """Keep what is said of an image that was kept.

        Args:
            index: The image's.
            target: The id of the target; empty for a single one.
            result: What is said of it.
            truth: The true box where it is known and the target can be seen.
        """
        if index in self._images:
            self._results.setdefault(index, {})[target] = result, truth

    def write(self, path: Path) -> None:
        """Write the sheet, if there is anything on it.

        Raises:
            ValueError: if the file cannot be written.
        """
        if self._results:
            write_image(path, contact_sheet([self._drawn(index) for index in sorted(self._results)]))

    def _drawn(self, index: int) -> Frame:
        image, results = self._images[index], self._results[index]
        if list(results) == [""]:
            return draw_result(image, *results[""])
        truths = [truth for _, truth in results.values() if truth is not None]
        return draw_results(image, [(name, result) for name, (result, _) in sorted(results.items())], truths=truths)
