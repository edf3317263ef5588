"""The images that training clips are composed of: cut-out objects, backgrounds, and frames of real clips.

They are read once, from a folder with an ``index.csv`` (its columns: `docs/training.md`) or from the single file that
`pack` makes of it, and held as tensors of one size each, so that a batch is a gather and a few `grid_sample` calls on
the device.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.media.sources import read_image

Split = Literal["train", "val"]

OBJECT_SIDE = 96
"""Objects are stretched to this many texels in both directions; their true shape is stored beside."""

SCENE_SIDE = 256
"""The same for backgrounds and clip frames."""

COLUMNS = {"file", "kind", "split", "mask", "category"}
"""Of the index that are read."""

_MARGIN = 0.04
"""Room round an object's mask, as a share of its size, so that its soft edge is kept."""


@dataclass
class ImageBank:
    """All images of one split.

    Attributes:
        objects: (N, 4, 96, 96) uint8 RGB and coverage.
        object_sizes: (N, 2) float32 width and height of the cut-out in its source.
        object_categories: (N,) int64; objects of one category are distractors for each other.
        scenes: (M, 4, 256, 256) uint8: backgrounds, then clip frames. The fourth channel is a clip frame's mask.
        scene_sizes: (M, 2) float32 width and height.
        clip_boxes: (F, 4) float32 x, y, w, h of the object of the last F scenes, in texels.
        clip_of_frame: (F,) int64 which clip each belongs to.
    """

    objects: torch.Tensor
    object_sizes: torch.Tensor
    object_categories: torch.Tensor
    scenes: torch.Tensor
    scene_sizes: torch.Tensor
    clip_boxes: torch.Tensor
    clip_of_frame: torch.Tensor

    @property
    def backgrounds(self) -> int:
        """Number of scenes that are backgrounds."""
        return len(self.scenes) - len(self.clip_boxes)

    @property
    def device(self) -> torch.device:
        return self.objects.device

    def to(self, device: torch.device) -> ImageBank:
        """The same on another device."""
        return ImageBank(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass
class _Image:
    kind: str
    split: str
    group: str
    size: tuple[int, int]
    pixels: NDArray[np.uint8]  # (side, side, 4) RGB and mask


def load_image_bank(path: Path, split: Split) -> ImageBank:
    """Read a folder or a packed file.

    Raises:
        ValueError: naming the path, if it is neither or lacks objects or backgrounds.
    """
    images = [image for image in _images(path) if image.split == split]
    by_kind = {kind: [image for image in images if image.kind == kind] for kind in ("object", "background", "clip")}
    if not by_kind["object"] or not by_kind["background"]:
        raise ValueError(f"{path}: holds no objects or no backgrounds of split {split!r}")
    objects, clips = by_kind["object"], by_kind["clip"]
    scenes = by_kind["background"] + clips
    boxes = [_mask_box(image.pixels[..., 3]) for image in clips]
    return ImageBank(
        objects=_stack(objects),
        object_sizes=_sizes(objects),
        object_categories=_group_numbers(objects),
        scenes=_stack(scenes),
        scene_sizes=_sizes(scenes),
        clip_boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        clip_of_frame=_group_numbers(clips),
    )


def pack(folder: Path, file: Path) -> int:
    """Write all that training needs of a folder into one file, small enough to be sent; returns the number of images.

    Raises:
        ValueError: if the folder has no index.
    """
    index: list[dict[str, Any]] = []
    images = _images(folder)  # refuses what is no data before a file is made
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, image in enumerate(images):
            index.append({"kind": image.kind, "split": image.split, "group": image.group, "size": image.size})
            bgr = cv2.cvtColor(image.pixels[..., :3], cv2.COLOR_RGB2BGR)
            archive.writestr(f"{number}.jpg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
            if image.kind != "background":
                archive.writestr(f"{number}.png", cv2.imencode(".png", image.pixels[..., 3])[1].tobytes())
        archive.writestr("index.json", json.dumps(index))
    return len(index)


def _images(path: Path) -> Iterator[_Image]:
    if (path / "index.csv").is_file():
        return _folder_images(path)
    if path.is_file() and zipfile.is_zipfile(path):
        return _packed_images(path)
    raise ValueError(f"{path}: neither a folder with an index.csv nor a packed file")


def _folder_images(folder: Path) -> Iterator[_Image]:
    rows = csv.DictReader((folder / "index.csv").open(newline=""))
    missing = COLUMNS - set(rows.fieldnames or ())
    if missing:
        raise ValueError(
            f"{folder / 'index.csv'}: lacks the columns {', '.join(sorted(missing))}; see docs/training.md"
        )
    for row in rows:
        kind = row["kind"].removesuffix("_frame")
        rgb = read_image(folder / row["file"])
        mask = read_image(folder / row["mask"])[..., 0] if row["mask"] else np.zeros(rgb.shape[:2], np.uint8)
        if not mask.any() and kind != "background":
            continue
        rgba = np.dstack([rgb, mask])
        if kind == "object":
            rgba = _cut_out(rgba)
        side = OBJECT_SIDE if kind == "object" else SCENE_SIDE
        pixels = cv2.resize(rgba, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        group = Path(row["file"]).parent.name if kind == "clip" else row["category"]
        yield _Image(kind, row["split"], group, (rgba.shape[1], rgba.shape[0]), pixels)


def _packed_images(file: Path) -> Iterator[_Image]:
    with zipfile.ZipFile(file) as archive:
        if "index.json" not in archive.namelist():
            raise ValueError(f"{file}: not a packed file; make one with trdimp train --data FOLDER --pack {file}")
        index = json.load(io.BytesIO(archive.read("index.json")))
        for number, entry in enumerate(index):
            rgb = _decode(archive.read(f"{number}.jpg"))
            mask = np.zeros(rgb.shape[:2], np.uint8)
            if entry["kind"] != "background":
                mask = _decode(archive.read(f"{number}.png"))[..., 0]
            yield _Image(entry["kind"], entry["split"], entry["group"], tuple(entry["size"]), np.dstack([rgb, mask]))


def _decode(content: bytes) -> NDArray[np.uint8]:
    """An encoded image as (H, W, 3) RGB."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("the packed file holds an image that cannot be read; pack it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _mask_box(mask: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """x, y, w, h of the pixels that are mostly covered."""
    covered = mask >= 128 if (mask >= 128).any() else mask > 0
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    left, top = columns[0], rows[0]
    return float(left), float(top), float(columns[-1] + 1 - left), float(rows[-1] + 1 - top)


def _cut_out(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image cropped to its mask, with a margin."""
    left, top, width, height = _mask_box(rgba[..., 3])
    margin_x, margin_y = max(1.0, _MARGIN * width), max(1.0, _MARGIN * height)
    y0, y1 = max(int(top - margin_y), 0), int(np.ceil(top + height + margin_y))
    x0, x1 = max(int(left - margin_x), 0), int(np.ceil(left + width + margin_x))
    return rgba[y0:y1, x0:x1]


def _stack(images: list[_Image]) -> torch.Tensor:
    return torch.from_numpy(np.stack([image.pixels.transpose(2, 0, 1) for image in images]))


def _sizes(images: list[_Image]) -> torch.Tensor:
    return torch.tensor([image.size for image in images], dtype=torch.float32)


def _group_numbers(images: list[_Image]) -> torch.Tensor:
    numbers = {group: number for number, group in enumerate(sorted({image.group for image in images}))}
    return torch.tensor([numbers[image.group] for image in images], dtype=torch.int64)
