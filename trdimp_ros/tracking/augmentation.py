"""The views of the first frame that the target is learned from.

Every view is made from one enlarged crop (1, 3, H, W), float32, 0..255, and then cut (or padded by repeating its
border) to the output size about its centre. ``shift`` = (row, column) moves the content down and right.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Shift = tuple[int, int]


class View(Protocol):
    """One way of looking at the first frame.

    Attributes:
        shift: Rows and columns by which the target is moved in the output.
        rotated: Whether the target's box no longer fits exactly.
    """

    shift: Shift
    rotated: bool

    def __call__(self, image: torch.Tensor) -> torch.Tensor: ...


def cut(image: torch.Tensor, output_size: tuple[int, int] | None, shift: Shift) -> torch.Tensor:
    """Cut or pad to the output size about the centre, moved by ``shift``; None keeps the size."""
    height, width = image.shape[-2:]
    rows, columns = output_size or (height, width)
    lines = []
    for length, wanted, moved in ((height, rows, shift[0]), (width, columns, shift[1])):
        before = math.floor((wanted - length) / 2) + moved
        lines.append((torch.arange(wanted, device=image.device) - before).clamp(0, length - 1))
    return image.index_select(-2, lines[0]).index_select(-1, lines[1])


def _pixels(image: torch.Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) as OpenCV wants it, (H, W, 3)."""
    return np.ascontiguousarray(image[0].permute(1, 2, 0).cpu().numpy())


def _image(pixels: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    """Inverse of `_pixels`, on the device of ``like``."""
    return torch.from_numpy(pixels).to(like.device).permute(2, 0, 1)[None]


class Translation:
    """The image moved by ``shift``; with (0, 0) the image itself."""

    rotated = False

    def __init__(self, output_size: tuple[int, int] | None, shift: Shift = (0, 0)) -> None:
        self.output_size, self.shift = output_size, shift

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return cut(image, self.output_size, self.shift)


class FlipHorizontal(Translation):
    """The mirror image."""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return cut(image.flip(-1), self.output_size, self.shift)


class Blur(Translation):
    """A separable Gaussian blur with zeros beyond the border.

    Args:
        deviations: Standard deviations along the rows and the columns, pixels.
    """

    def __init__(
        self, deviations: tuple[float, float], output_size: tuple[int, int] | None, shift: Shift = (0, 0)
    ) -> None:
        super().__init__(output_size, shift)
        self.deviations = deviations

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        kernels = []
        for deviation in self.deviations:
            half = math.ceil(2 * deviation)
            taps = np.arange(-half, half + 1, dtype=np.float32)
            kernel = np.exp(-(taps**2) / np.float32(2 * deviation**2))
            kernels.append(kernel / kernel.sum())
        by_row, by_column = kernels
        blurred = cv2.sepFilter2D(_pixels(image), -1, by_column, by_row, borderType=cv2.BORDER_CONSTANT)
        return cut(_image(blurred, image), self.output_size, self.shift)


class Rotation(Translation):
    """A rotation about the centre, counter-clockwise on the screen, bilinear, border repeated.

    Args:
        angle: The angle in degrees.
    """

    rotated = True

    def __init__(self, angle: float, output_size: tuple[int, int] | None, shift: Shift = (0, 0)) -> None:
        super().__init__(output_size, shift)
        self.angle = math.radians(angle)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        pixels = _pixels(image)
        height, width = pixels.shape[:2]
        # As in the original, the centre is given as (row, column) where OpenCV means (x, y); the crop is square.
        center = (np.array([[height], [width]]) - 1) / 2
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        turn = np.array([[cosine, sine], [-sine, cosine]])
        matrix = np.concatenate([turn, center - turn @ center], axis=1)
        turned = cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return cut(_image(turned, image), self.output_size, self.shift)


class Scale(Translation):
    """The image shrunk by a factor (below 1: enlarged), bilinear.

    Args:
        factor: Old size divided by new size, which is rounded to the parity of the old.
    """

    rotated = True

    def __init__(self, factor: float, output_size: tuple[int, int] | None, shift: Shift = (0, 0)) -> None:
        super().__init__(output_size, shift)
        self.factor = factor

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        sizes = []
        for length in image.shape[-2:]:
            scaled = round(length / self.factor)
            sizes.append(scaled + (scaled - length) % 2)
        scaled_image = functional.interpolate(image, sizes, mode="bilinear", align_corners=False)
        return cut(scaled_image, self.output_size, self.shift)
