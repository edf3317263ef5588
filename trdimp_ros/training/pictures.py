"""A grid of training samples as a picture, to see what is trained on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trdimp_ros.training.samples import Samples

PRESENT_COLOR = (0, 255, 0)
ABSENT_COLOR = (255, 60, 60)


def sample_grid(samples: Samples, rows: int = 8) -> NDArray[np.uint8]:
    """One row of frames for each target, its box green, or red where it is absent; (H, W, 3) RGB."""
    images = samples.images.byte().permute(1, 0, 3, 4, 2).cpu().numpy()  # (S, I, side, side, 3)
    boxes, present = samples.boxes.cpu().numpy(), samples.present.cpu().numpy()
    drawn = []
    for target in range(min(rows, len(images))):
        row = []
        for frame, pixels in enumerate(images[target]):
            image = np.ascontiguousarray(pixels)
            x, y, w, h = (round(float(value)) for value in boxes[frame, target])
            color = PRESENT_COLOR if present[frame, target] else ABSENT_COLOR
            cv2.rectangle(image, (x, y), (x + w, y + h), color, 1)
            row.append(image)
        drawn.append(np.hstack(row))
    return np.vstack(drawn)
