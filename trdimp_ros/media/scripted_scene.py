"""A rendered scene with several objects and exact truth, as long as asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.media.scene_parts import draw_patch, sign, smooth_path, texture, uncovered_share
from trdimp_ros.media.scene_script import SceneScript, Stay, camera_path, plan_paths
from trdimp_ros.media.sources import Frame
from trdimp_ros.tracking import Box

SIZE = (0.14, 0.17)
"""Height and width of an object of scale 1, in shares of the image's smaller side."""

PILLAR_WIDTH = 0.12
"""Share of the image's width."""

NOISE = 2.0
"""Standard deviation of each pixel, in grey levels."""

NOISE_MARGIN = 64
"""The noise of a frame is a window of one larger image, which can lie in so many places to each side."""


class Crossing(NamedTuple):
    """Frames in which the boxes of two objects touch: the first one and the one after the last."""

    one: int
    other: int
    start: int
    end: int


class ScriptedScene:
    """Frames and truth of a `SceneScript`; every frame can be rendered by itself, and always comes out the same.

    Objects have numbers: the targets from 0, then the look-alikes. It is a `FrameSource`.

    Args:
        script: What happens.
        paths: The stays of every object, targets first, where they are not to be planned by chance; with them the
            script's absences and crossings have no meaning.

    Raises:
        ValueError: for another number of paths than the script has objects.

    Attributes:
        rate: Frames per second.
        depth: The objects from the farthest to the nearest.
    """

    rate = 25.0

    def __init__(self, script: SceneScript, paths: list[list[Stay]] | None = None) -> None:
        objects = script.targets + script.look_alikes
        if paths is not None and len(paths) != objects:
            raise ValueError(f"a scene of {objects} objects needs as many paths, got {len(paths)}")
        self.script = script
        random = np.random.default_rng(script.seed)
        side = min(script.width, script.height)
        height, width = (max(round(share * side), 4) for share in SIZE)
        self._patches = _patches(script, random, height, width)
        self._camera = camera_path(script, random)
        paths = plan_paths(script, random) if paths is None else paths
        self._boxes = [_boxes(stays, script.frames, self._camera, (height, width)) for stays in paths]
        self.depth = [int(number) for number in random.permutation(len(paths))]
        self._margin = np.ceil(np.abs(self._camera).max(axis=0)).astype(int) + 1
        self._background = _background(script, self._margin, random)
        size = (script.height + NOISE_MARGIN, script.width + NOISE_MARGIN, 3)
        self._noise = np.rint(random.normal(0.0, NOISE, size)).astype(np.int16)
        self._pillar = (
            texture(random, height=self._background.shape[0], width=max(self._pillar_width, 1), coarse=24) // 3
        )
        self._pillar += np.array([70, 60, 50], np.uint8)

    def __len__(self) -> int:
        return self.script.frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(len(self)))

    def box(self, index: int, number: int = 0) -> Box | None:
        """An object's true box, also where it is hidden or the camera looks elsewhere; None while it is nowhere."""
        x, y, w, h = self._boxes[number][index].tolist()
        return None if math.isnan(x) else Box(x, y, w, h)

    def visibility(self, index: int, number: int = 0) -> float:
        """Share of an object's box, 0..1, that is in the image and not hidden by a nearer object or the pillar."""
        box = self.box(index, number)
        if box is None:
            return 0.0
        nearer = self.depth[self.depth.index(number) + 1 :]
        before = [one for one in (self.box(index, other) for other in nearer) if one is not None]
        if self.script.pillar:
            before.append(self._pillar_box(index))
        return uncovered_share(box, (self.script.width, self.script.height), before)

    def truth(self, number: int = 0) -> list[Box | None]:
        """An object's box of every frame, None where nothing of it can be seen."""
        frames = range(len(self))
        return [self.box(index, number) if self.visibility(index, number) > 0 else None for index in frames]

    def absences(self, number: int = 0) -> list[tuple[int, int]]:
        """Frames in which nothing of an object can be seen: the first one and the one after the last, of each time."""
        return _runs([self.visibility(index, number) == 0 for index in range(len(self))])

    def crossings(self) -> list[Crossing]:
        """All meetings of a target with another object in the image."""
        found = []
        for one in range(self.script.targets):
            for other in range(one + 1, len(self._boxes)):
                touching = _touching(self._boxes[one], self._boxes[other], (self.script.width, self.script.height))
                found += [Crossing(one, other, start, end) for start, end in _runs(touching)]
        return sorted(found, key=lambda crossing: crossing.start)

    def frame(self, index: int) -> Frame:
        """Render one frame, (height, width, 3) uint8 RGB."""
        script = self.script
        x, y = self._margin + self._camera[index]
        shift = np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]])
        size = (script.width, script.height)
        image = cv2.warpAffine(self._background, shift, size, flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
        for number in self.depth:
            box = self.box(index, number)
            if box is not None:
                draw_patch(image, self._patches[number], box)
        if script.pillar:
            draw_patch(image, self._pillar, self._pillar_box(index))
        lit = cv2.convertScaleAbs(image, alpha=1.0 + 0.06 * math.sin(index / 15.0))
        column, row = np.random.default_rng((script.seed, index)).integers(0, NOISE_MARGIN, 2)
        noise = self._noise[row : row + script.height, column : column + script.width]
        return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)

    @property
    def _pillar_width(self) -> int:
        return round(PILLAR_WIDTH * self.script.width)

    def _pillar_box(self, index: int) -> Box:
        x, y = self._camera[index].tolist()
        left = (self.script.width - self._pillar_width) / 2 - x
        return Box(left, -self._margin[1] - y, self._pillar_width, self._background.shape[0])


def _patches(script: SceneScript, random: np.random.Generator, height: int, width: int) -> list[Frame]:
    """The texture of every object."""
    common = sign(random, height, width)

    def mixed(base: Frame, difference: float) -> Frame:
        own = sign(random, height, width)
        return np.asarray(cv2.addWeighted(base, 1 - difference, own, difference, 0), np.uint8)

    targets = [mixed(common, script.target_difference) for _ in range(script.targets)]
    resembled = (targets[number % script.targets] for number in range(script.look_alikes))
    return targets + [mixed(base, script.look_alike_difference) for base in resembled]


def _boxes(stays: list[Stay], frames: int, camera: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """The boxes (frames, 4) of an object in the image, nan while it is nowhere."""
    boxes = np.full((frames, 4), np.nan)
    for stay in stays:
        knots = np.array(stay, np.float64)
        present = np.arange(stay[0].frame, min(stay[-1].frame + 1, frames))
        x, y, scale = smooth_path(present, knots[:, 0], knots[:, 1:]).T
        width, height = size[1] * scale, size[0] * scale
        left, top = x - camera[present, 0] - width / 2, y - camera[present, 1] - height / 2
        boxes[present] = np.stack([left, top, width, height], axis=1)
    return boxes


def _background(script: SceneScript, margin: NDArray[np.int64], random: np.random.Generator) -> Frame:
    """Muted noise with boxes in it as clutter, larger than the image by the margin on every side."""
    width, height = script.width + 2 * int(margin[0]), script.height + 2 * int(margin[1])
    canvas = texture(random, height, width, coarse=60) // 2 + 50
    for _ in range(round(14 * width * height / (640 * 480))):
        x, y, w, h = (int(random.integers(*span)) for span in ((0, width), (0, height), (20, 90), (20, 90)))
        color = tuple(int(value) for value in random.integers(60, 170, 3))
        cv2.rectangle(canvas, (x, y), (x + w, y + h), color, -1)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.2), np.uint8)


def _touching(one: NDArray[np.float64], other: NDArray[np.float64], size: tuple[int, int]) -> list[bool]:
    """In which frames two objects' boxes (frames, 4) share pixels of the image."""
    start = np.maximum(np.maximum(one[:, :2], other[:, :2]), 0)
    end = np.minimum(np.minimum(one[:, :2] + one[:, 2:], other[:, :2] + other[:, 2:]), size)
    shared = end > start
    return [bool(both) for both in shared[:, 0] & shared[:, 1]]


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Where flags are set: the first index and the one after the last, of each run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
