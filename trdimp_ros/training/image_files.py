"""Reading training images: folders in three layouts (docs/training.md), or the one file that `pack` makes of them."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.media.sources import read_image

OBJECT_SIDE = 96
"""Cut-out objects are stretched to this many texels in both directions; their true shape is stored beside."""

SCENE_SIDE = 256
"""The same for backgrounds; and the side of the square crops round the targets of real frames."""

CROP_SCALE = 5.5
"""Side of such a crop divided by sqrt(w*h) of its box: a search area, and some room to move it."""

SMALLEST_BOX = 8.0
"""Real boxes whose shorter side has fewer pixels are left out."""

PART_EVERY = 3
"""One of so many boxes of single images is used once more, as a part of itself, which is then the target: what the
target is must be learned from its box in the template, not from what usually has a box (faces, logos, wheels)."""

SMALLEST_PART = 24.0

MASKED, BOXED_IMAGES, BOXED_CLIPS = {"file", "kind", "split", "mask", "category"}, {"image", "split"}, {"clip", "split"}
"""Columns by which the three layouts are known."""

_MARGIN = 0.04
"""Room round an object's mask, as a share of its size, so that its soft edge is kept."""


@dataclass
class TrainingImage:
    """One image as it is held for training.

    Attributes:
        kind: ``object``, ``background`` or ``frame`` (the surroundings of a real target).
        split: ``train`` or ``val``.
        group: Category of an object, clip of a frame: the target that it shows.
        pixels: (side, side, 4) RGB and mask of an object, (side, side, 3) of the others.
        size: Width and height of an object or a background in its source.
        box: x, y, w, h of a frame's target in texels.
        source: Data set that a frame is from; its share among the samples depends on it.
        scene: Image or video that a frame is from: what may show the same target.
    """

    kind: str
    split: str
    group: str
    pixels: NDArray[np.uint8]
    size: tuple[int, int] = (SCENE_SIDE, SCENE_SIDE)
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    source: str = ""
    scene: str = ""


def read_images(path: Path, split: str | None = None) -> Iterator[TrainingImage]:
    """All images of a folder or a packed file, one after another.

    Args:
        path: The folder with its ``index.csv``, or the packed file.
        split: Only the images of this split; None: all.

    Raises:
        ValueError: naming the path, if it is neither, or if its index has none of the three layouts.
    """
    if (path / "index.csv").is_file():
        with (path / "index.csv").open(newline="") as file:
            reader = csv.DictReader(file)
            columns, rows = set(reader.fieldnames or ()), list(reader)
        rows = [row for row in rows if split in (None, row.get("split"))]
        if columns >= BOXED_CLIPS:
            return _boxed_clips(path, rows)
        if columns >= BOXED_IMAGES:
            return _boxed_images(path, rows)
        if columns >= MASKED:
            return _masked_images(path, rows)
        missing = ", ".join(sorted(MASKED - columns))
        raise ValueError(f"{path / 'index.csv'}: lacks the columns {missing}; see docs/training.md")
    if path.is_file() and zipfile.is_zipfile(path):
        return _packed_images(path, split)
    raise ValueError(f"{path}: neither a folder with an index.csv nor a packed file")


def pack(folders: list[Path], file: Path) -> int:
    """Write all that training needs of some folders into one file, small enough to be sent.

    Returns:
        The number of images.

    Raises:
        ValueError: if a folder has no index.
    """
    index: list[dict[str, Any]] = []
    images = [image for folder in folders for image in read_images(folder)]  # refuses before a file is made
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, image in enumerate(images):
            entry = {key: value for key, value in vars(image).items() if key != "pixels"}
            index.append(entry)
            bgr = cv2.cvtColor(image.pixels[..., :3], cv2.COLOR_RGB2BGR)
            archive.writestr(f"{number}.jpg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
            if image.kind == "object":
                archive.writestr(f"{number}.png", cv2.imencode(".png", image.pixels[..., 3])[1].tobytes())
        archive.writestr("index.json", json.dumps(index))
    return len(index)


def _packed_images(file: Path, split: str | None) -> Iterator[TrainingImage]:
    with zipfile.ZipFile(file) as archive:
        if "index.json" not in archive.namelist():
            raise ValueError(f"{file}: not a packed file; make one with trdimp train --data FOLDER --pack {file}")
        for number, entry in enumerate(json.load(io.BytesIO(archive.read("index.json")))):
            if split not in (None, entry["split"]):
                continue
            rgb = _decode(archive.read(f"{number}.jpg"))
            entry["size"], entry["box"] = tuple(entry["size"]), tuple(entry["box"])
            if entry["kind"] == "object":
                rgb = np.dstack([rgb, _decode(archive.read(f"{number}.png"))[..., 0]])
            yield TrainingImage(pixels=rgb, **entry)


def _decode(content: bytes) -> NDArray[np.uint8]:
    """An encoded image as (H, W, 3) RGB."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("the packed file holds an image that cannot be read; pack it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _masked_images(folder: Path, rows: list[dict[str, str]]) -> Iterator[TrainingImage]:
    """Objects with masks, backgrounds, and frames of clips with masks."""
    for row in rows:
        rgb = read_image(folder / row["file"])
        if row["kind"] == "background":
            yield TrainingImage("background", row["split"], row["category"], _resize(rgb), rgb.shape[1::-1])
            continue
        mask = read_image(folder / row["mask"])[..., 0]
        if not mask.any():
            continue
        if row["kind"] == "object":
            rgba = _cut_out(np.dstack([rgb, mask]))
            size = (rgba.shape[1], rgba.shape[0])
            yield TrainingImage("object", row["split"], row["category"], _resize(rgba, OBJECT_SIDE), size)
        elif row["kind"] == "clip_frame":
            clip = f"{folder.name}/{Path(row['file']).parent.name}"
            yield from _frame(rgb, mask_box(mask), row["split"], clip, row.get("source_dataset", ""), clip)
        else:
            raise ValueError(
                f"{folder / 'index.csv'}: kind must be object, background or clip_frame, not {row['kind']}"
            )


def _boxed_images(folder: Path, rows: list[dict[str, str]]) -> Iterator[TrainingImage]:
    """Images, each with some boxes: every box is a clip of one frame."""
    boxes: dict[str, list[NDArray[np.float64]]] = {}
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[name]) for name in ("x", "y", "w", "h")])
            boxes.setdefault(row["image"], []).append(box)
    generator = np.random.default_rng(0)
    for row in rows:
        rgb = read_image(folder / "images" / row["image"])
        scene = f"{folder.name}/{row['image']}"
        for number, box in enumerate(boxes.get(row["image"], [])):
            group = f"{scene}:{number}"
            yield from _frame(rgb, box, row["split"], group, row.get("source dataset", ""), scene)
            if generator.integers(PART_EVERY) == 0 and min(box[2:]) >= SMALLEST_PART:
                yield from _frame(rgb, _part(box, generator), row["split"], f"{group}:part", "parts", scene)


def _boxed_clips(folder: Path, rows: list[dict[str, str]]) -> Iterator[TrainingImage]:
    """Clips of frames, with a file of boxes for each target; lines without numbers where it is absent."""
    for row in rows:
        clip = folder / "clips" / row["clip"]
        frames = [read_image(file) for file in sorted(clip.glob("*.jpg"))]
        for file in sorted(clip.glob("boxes*.csv")):
            boxes = read_boxes(file)
            if len(boxes) != len(frames):
                raise ValueError(f"{file}: has {len(boxes)} lines for {len(frames)} frames")
            group, scene = f"{clip.name}/{file.stem}", f"{folder.name}/{row.get('video') or clip.name}"
            for rgb, box in zip(frames, boxes, strict=True):
                yield from _frame(rgb, box, row["split"], group, row.get("dataset", ""), scene)


def read_boxes(file: Path) -> NDArray[np.float64]:
    """Boxes (N, 4) x, y, w, h of a file with a line for each frame; NaN where there is none."""
    lines = [line.split(",") for line in file.read_text().splitlines() if line.strip()]
    try:
        return np.array([[float(number) for number in line] for line in lines]).reshape(-1, 4)
    except ValueError as error:
        raise ValueError(f"{file}: wants four numbers a line, x,y,w,h ({error})") from None


def _frame(
    rgb: NDArray[np.uint8], box: NDArray[np.float64], split: str, group: str, source: str, scene: str
) -> Iterator[TrainingImage]:
    """The square surroundings of a box, with the tracker's own border where they leave the image."""
    if not np.isfinite(box).all() or min(box[2:]) < SMALLEST_BOX:
        return
    side = CROP_SCALE * math.sqrt(box[2] * box[3])
    corner = box[:2] + box[2:] / 2 - side / 2
    scale = SCENE_SIDE / side
    if scale < 0.7:  # the warp takes single pixels: what is to be made much smaller is brought near by areas first
        smaller = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rgb, corner, box, scale = smaller.astype(np.uint8, copy=False), corner * scale, box * scale, 1.0
    shift = -(corner * scale) + (scale - 1) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    crop = cv2.warpAffine(
        rgb, matrix, (SCENE_SIDE, SCENE_SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    x, y = (box[:2] - corner) * scale
    texels = (float(x), float(y), float(box[2] * scale), float(box[3] * scale))
    yield TrainingImage(
        "frame", split, group, crop.astype(np.uint8, copy=False), box=texels, source=source, scene=scene
    )


def _part(box: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """A box within a box; of an upright one often the top, where standing people have their heads."""
    if box[3] > 1.6 * box[2] and generator.random() < 0.5:
        size = np.array([0.62 * box[2], 0.24 * box[3]])
        return np.array([box[0] + 0.19 * box[2], box[1], *size])
    size = box[2:] * generator.uniform(0.4, 0.7, 2)
    return np.concatenate([box[:2] + (box[2:] - size) * generator.uniform(0, 1, 2), size])


def mask_box(mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    """x, y, w, h of the pixels that are mostly covered."""
    covered = mask >= 128 if (mask >= 128).any() else mask > 0
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    left, top = columns[0], rows[0]
    return np.array([left, top, columns[-1] + 1 - left, rows[-1] + 1 - top], dtype=np.float64)


def _cut_out(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image cropped to its mask, with a margin."""
    left, top, width, height = mask_box(rgba[..., 3])
    margin_x, margin_y = max(1.0, _MARGIN * width), max(1.0, _MARGIN * height)
    y0, y1 = max(int(top - margin_y), 0), int(np.ceil(top + height + margin_y))
    x0, x1 = max(int(left - margin_x), 0), int(np.ceil(left + width + margin_x))
    return rgba[y0:y1, x0:x1]


def _resize(pixels: NDArray[np.uint8], side: int = SCENE_SIDE) -> NDArray[np.uint8]:
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def count_by_source(images: Iterable[TrainingImage]) -> dict[str, int]:
    """How many frames there are of each source."""
    counts: dict[str, int] = {}
    for image in images:
        counts[image.source] = counts.get(image.source, 0) + 1
    return counts
