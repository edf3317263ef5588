"""Clips of real images with their truth, for validation: video, and views that glide over single images.

In every other clip the target is gone for a while: video cuts to another scene and back, and the view of an image jumps
away from the target and returns.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.media.sources import read_image
from trdimp_ros.training.clips import CLIP_SIZE, Clip
from trdimp_ros.training.image_files import BOXED_CLIPS, BOXED_IMAGES, read_boxes

GONE = 8
"""Frames for which a target is gone."""

VIEW_FRAMES = 32

LEAST_SIDE = 28.0
"""Boxes of single images whose shorter side is smaller are not viewed."""


def real_clips(folders: list[Path], split: str, views: int = 16) -> list[Clip]:
    """All video clips of a split, and some views of its single images.

    Args:
        folders: Folders in the layouts of docs/training.md; those without boxes give nothing.
        split: The split that the clips are of.
        views: The number of views of single images.
    """
    videos = [clip for folder in folders for clip in _videos(folder, split)]
    images = [entry for folder in folders for entry in _images(folder, split)]
    random = np.random.default_rng(0)
    chosen = random.permutation(len(images))[:views]
    cut = [_cut_away(clip, videos[number - 1].frames) if number % 2 else clip for number, clip in enumerate(videos)]
    for number, index in enumerate(chosen):
        path, box = images[index]
        cut.append(_view(path, box, random, leaves=number % 2 == 1))
    return cut


def _rows(folder: Path, split: str, columns: set[str]) -> list[dict[str, str]]:
    index = folder / "index.csv"
    if not index.is_file():
        return []
    with index.open(newline="") as file:
        reader = csv.DictReader(file)
        return [row for row in reader if columns <= row.keys() and row["split"] == split]


def _videos(folder: Path, split: str) -> Iterator[Clip]:
    for row in _rows(folder, split, BOXED_CLIPS):
        path = folder / "clips" / row["clip"]
        frames = [read_image(file) for file in sorted(path.glob("*.jpg"))]
        boxes = read_boxes(path / "boxes.csv")
        if len(frames) == len(boxes) and np.isfinite(boxes[0]).all():
            visible = np.array(np.isfinite(boxes).all(axis=1), np.float32)
            yield Clip(frames, np.nan_to_num(boxes).astype(np.float32), visible)


def _cut_away(clip: Clip, other: list[NDArray[np.uint8]]) -> Clip:
    """The clip with some frames of another one in its middle, brought to its size."""
    middle = len(clip.frames) // 2
    height, width = clip.frames[0].shape[:2]
    between = [cv2.resize(frame, (width, height)).astype(np.uint8, copy=False) for frame in other[:GONE]]
    boxes = np.insert(clip.boxes, middle, np.repeat(clip.boxes[middle - 1 : middle], len(between), axis=0), axis=0)
    visible = np.insert(clip.visible, middle, np.zeros(len(between), np.float32))
    return Clip([*clip.frames[:middle], *between, *clip.frames[middle:]], boxes, visible)


def _images(folder: Path, split: str) -> Iterator[tuple[Path, NDArray[np.float64]]]:
    """Images and one box of each."""
    names = {row["image"] for row in _rows(folder, split, BOXED_IMAGES)}
    if not names:
        return
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[name]) for name in ("x", "y", "w", "h")])
            if row["image"] in names and min(box[2:]) >= LEAST_SIDE:
                names.discard(row["image"])
                yield folder / "images" / row["image"], box


def _view(path: Path, box: NDArray[np.float64], random: np.random.Generator, leaves: bool) -> Clip:
    """A camera that glides over an image, with zoom and a little rotation, light and blur."""
    image = read_image(path)
    height, width = CLIP_SIZE
    time = np.linspace(0, 1, VIEW_FRAMES)
    phase, speed = random.uniform(0, 2 * math.pi, 5), random.uniform(0.5, 1.5, 5)
    wave = np.sin(2 * math.pi * speed * time[:, None] + phase)  # (frames, 5)
    base = random.uniform(0.18, 0.32) * height / math.sqrt(box[2] * box[3])
    scale = base * np.exp(0.25 * wave[:, 0])
    angle = 0.08 * wave[:, 1]
    center = np.array([width, height]) * (0.5 + 0.25 * wave[:, 2:4])
    if leaves:
        gone = (time > 0.45) & (time < 0.45 + GONE / VIEW_FRAMES)
        center = center + np.where(gone, 2.0 * width, 0.0)[:, None] * np.array([1.0, 0.0])
    frames, boxes, visible = [], [], []
    middle = box[:2] + box[2:] / 2
    for number in range(VIEW_FRAMES):
        cos, sin = scale[number] * math.cos(angle[number]), scale[number] * math.sin(angle[number])
        turn = np.array([[cos, -sin], [sin, cos]])
        shift = center[number] - turn @ middle
        frame = cv2.warpAffine(
            image,
            np.hstack([turn, shift[:, None]]),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        light = np.clip(frame * (1 + 0.2 * wave[number, 4]), 0, 255).astype(np.uint8)
        frames.append(cv2.GaussianBlur(light, (3, 3), 0).astype(np.uint8) if number % 3 == 1 else light)
        extent = np.sqrt((turn**2) @ (box[2:] ** 2))  # as if it were an ellipse
        boxes.append(np.concatenate([center[number] - extent / 2, extent]))
        inside = (center[number] > 0).all() and (center[number] < (width, height)).all()
        visible.append(1.0 if inside else 0.0)
    return Clip(frames, np.array(boxes, np.float32), np.array(visible, np.float32))
