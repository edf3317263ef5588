"""A small folder of training images in the layout of docs/training.md, drawn here."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

COLUMNS = ("file", "kind", "split", "mask", "category")


def write_toy_images(folder: Path) -> Path:
    """Discs and boxes in strong colours, noisy backgrounds, and one clip of a moving disc, for both splits."""
    random = np.random.default_rng(0)
    rows = []
    for kind in ("objects", "backgrounds", "clips/disc_train", "clips/disc_val"):
        (folder / kind).mkdir(parents=True)
    for number in range(8):
        split = "train" if number < 5 else "val"
        image = np.full((60, 48 + 8 * (number % 3), 3), 128, np.uint8)
        mask = np.zeros(image.shape[:2], np.uint8)
        color = tuple(int(value) for value in random.integers(0, 256, 3))
        for canvas, value in ((image, color), (mask, 255)):
            if number % 2:
                cv2.ellipse(canvas, (26, 30), (16, 22), 0, 0, 360, value, -1)
            else:
                cv2.rectangle(canvas, (8, 10), (40, 50), value, -1)
        cv2.line(image, (10, 30), (40, 30), (255, 255, 255), 3)
        rows.append(
            _write(folder, f"objects/{number}", image, mask, "object", split, "round" if number % 2 else "square")
        )
    for number in range(4):
        noise = random.integers(0, 256, (12, 16, 3)).astype(np.uint8)
        background = cv2.resize(noise, (96, 72), interpolation=cv2.INTER_CUBIC) // 2 + 60
        rows.append(
            _write(
                folder, f"backgrounds/{number}", background, None, "background", "train" if number < 3 else "val", ""
            )
        )
    for split in ("train", "val"):
        for frame in range(4):
            picture = cv2.resize(random.integers(0, 256, (9, 12, 3)).astype(np.uint8), (96, 72))
            mask = np.zeros(picture.shape[:2], np.uint8)
            for canvas, value in ((picture, (20, 30, 220)), (mask, 255)):
                cv2.circle(canvas, (30 + 8 * frame, 36), 10, value, -1)
            rows.append(_write(folder, f"clips/disc_{split}/{frame:03d}", picture, mask, "clip_frame", split, "disc"))
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return folder


def write_toy_boxes(folder: Path) -> Path:
    """Images with boxes and a clip with boxes, each a disc of its own colour on a noisy ground."""
    random = np.random.default_rng(1)
    (folder / "static" / "images").mkdir(parents=True)
    index, boxes = ["image,source dataset,split"], ["image,category,x,y,w,h,occluded,truncated"]
    for number in range(6):
        picture, box = _disc(random, (60 + 4 * number, 60), (40, 40 * number, 240 - 40 * number))
        cv2.imwrite(str(folder / "static" / "images" / f"{number}.jpg"), picture)
        index.append(f"{number}.jpg,toys,{'train' if number < 4 else 'val'}")
        boxes.append(f"{number}.jpg,disc,{','.join(map(str, box))},,0")
    (folder / "static" / "index.csv").write_text("\n".join(index) + "\n")
    (folder / "static" / "boxes.csv").write_text("\n".join(boxes) + "\n")
    rows = ["clip,split,dataset,video"]
    for split in ("train", "val"):
        clip = folder / "video" / "clips" / f"disc_{split}"
        clip.mkdir(parents=True)
        lines = []
        for frame in range(6):
            picture, box = _disc(random, (40 + 10 * frame, 50), (200, 200, 30))
            cv2.imwrite(str(clip / f"{frame:03d}.jpg"), picture)
            lines.append("nan,nan,nan,nan" if frame == 3 else ",".join(map(str, box)))
        (clip / "boxes.csv").write_text("\n".join(lines) + "\n")
        rows.append(f"disc_{split},{split},toy clips,disc_{split}")
    (folder / "video" / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


def _disc(
    random: np.random.Generator, center: tuple[int, int], color: tuple[int, int, int]
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    grey = cv2.resize(random.integers(60, 200, (9, 12)).astype(np.uint8), (160, 120))
    picture = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    cv2.circle(picture, center, 16, color, -1)
    return picture, (center[0] - 16, center[1] - 16, 33, 33)


def _write(
    folder: Path, name: str, image: np.ndarray, mask: np.ndarray | None, kind: str, split: str, category: str
) -> tuple[str, ...]:
    cv2.imwrite(str(folder / f"{name}.jpg"), image)
    if mask is not None:
        cv2.imwrite(str(folder / f"{name}.png"), mask)
    return f"{name}.jpg", kind, split, f"{name}.png" if mask is not None else "", category
