"""Cutting the search area out of the image.

Which pixels are needed is decided on the host, with integers. Only those are read from the image and converted, and
one bilinear lookup does the padding and the resizing, on a GPU there (`resample`), else on the host (`interpolate`, or
`resize` where the last digit does not matter): the cost does not grow with the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.config import BorderMode
from trdimp_ros.tracking.geometry import Pair

MAX_SHRINK = 2.1
"""A search area larger than this many network inputs is subsampled first, so a crop is never larger than that."""


class CropPlan(NamedTuple):
    """Where to crop.

    Attributes:
        coordinates: Top, left, bottom, right of the crop in image pixels, bottom and right exclusive. May lie outside.
        step: The image is subsampled by this factor first.
        offset: Row and column of the first pixel that the subsampling keeps.
        corner: Row and column of the crop's corner in the subsampled image.
        size: Height and width of the crop in the subsampled image.
    """

    coordinates: tuple[int, int, int, int]
    step: int
    offset: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]


def plan_crop(
    image_size: tuple[int, int],
    center: Pair,
    crop_size: Pair,
    output_size: tuple[int, int] | None,
    mode: BorderMode,
    max_scale_change: float | None,
) -> CropPlan:
    """Decide which part of the image to use.

    Args:
        image_size: Rows and columns of the image.
        center: Wanted centre (row, column), truncated to whole pixels.
        crop_size: Wanted size (height, width) in image pixels.
        output_size: Size that the crop will be resized to; None: it will not be.
        mode: What to do with a crop that leaves the image, see `TrackerConfig.border_mode`.
        max_scale_change: The factor by which the mode may shrink it at most; None: any.
    """
    row, column = (int(value) for value in center)
    sizes = np.asarray(crop_size, np.float32)
    if mode != "replicate":
        shrink = sizes / np.asarray(image_size, np.float32)
        factor = max(shrink.max() if mode == "inside" else shrink.min(), np.float32(1))
        if max_scale_change is not None:
            factor = min(factor, np.float32(max_scale_change))
        sizes = np.trunc(sizes / factor)
    step = 1
    if output_size is not None:
        ratio = float((sizes / np.asarray(output_size, np.float32)).min())
        step = max(int(ratio - 0.1), 1)
    sizes = sizes / np.float32(step)
    offset = row % step, column % step
    middle = (row - offset[0]) // step, (column - offset[1]) // step

    corner, size = [], []
    for axis in (0, 1):
        length = max(int(np.rint(sizes[axis])), 2)
        available = _subsampled(image_size[axis], offset[axis], step)
        start = middle[axis] - (length - 1) // 2
        if mode != "replicate":
            start = _moved_inside(start, length, available)
        corner.append(start)
        size.append(length)
    top, left = (step * start for start in corner)
    bottom, right = (step * (start + length) for start, length in zip(corner, size, strict=True))
    return CropPlan((top, left, bottom, right), step, offset, (corner[0], corner[1]), (size[0], size[1]))


def _subsampled(length: int, offset: int, step: int) -> int:
    """How many of the image's rows or columns a subsampling keeps; one where the step jumps over the image."""
    return max(-(-(length - offset) // step), 1)


def _moved_inside(start: int, length: int, available: int) -> int:
    """Shift a crop into the image, or centre its overhang where it is longer than the image."""
    start += max(-start, 0) - max(start + length - available, 0)
    outside = (max(-start, 0) + max(start + length - available, 0)) // 2
    return -outside if outside > 0 else start


class AxisTaps(NamedTuple):
    """The two source lines that every output line interpolates between, along one axis.

    Attributes:
        first: (O,) index of the lower source line.
        second: (O,) index of the upper one.
        fraction: (O,) float32 share of the upper one.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    fraction: NDArray[np.float32]


def bilinear_taps(length: int, output: int) -> AxisTaps:
    """Taps of a bilinear resize of ``length`` lines to ``output``, pixel areas aligned, no antialiasing.

    The arithmetic is that of `torch.nn.functional.interpolate` with align_corners false, in float32.
    """
    scale = np.float32(length) / np.float32(output)
    half = np.float32(0.5)
    source = np.maximum(scale * (np.arange(output, dtype=np.float32) + half) - half, np.float32(0))
    first = np.minimum(source.astype(np.int64), length - 1)
    second = np.minimum(first + 1, length - 1)
    return AxisTaps(first, second, np.clip(source - first.astype(np.float32), 0, 1).astype(np.float32))


@dataclass(frozen=True)
class Crop:
    """A crop ready to be moved to the device.

    Attributes:
        pixels: (h, w, 3) uint8, the part of the image that is needed, a view where possible.
        outside: How many lines of the crop lie outside the image, where the image's border is repeated: above, below,
            to the left, to the right.
    """

    pixels: NDArray[np.uint8]
    outside: tuple[int, int, int, int]

    def taps(self, axis: int, output: int) -> AxisTaps:
        """Taps into the pixels of a resize of the crop.

        Args:
            axis: 0: rows; 1: columns.
            output: The number of lines to resize it to.
        """
        inside, (before, after) = self.pixels.shape[axis], self.outside[2 * axis : 2 * axis + 2]
        lines = bilinear_taps(before + inside + after, output)
        first, second = (np.clip(index - before, 0, inside - 1) for index in (lines.first, lines.second))
        return AxisTaps(first, second, lines.fraction)


def read_crop(image: NDArray[np.uint8], plan: CropPlan) -> Crop:
    """Collect the pixels of a crop.

    Args:
        image: The image (H, W, 3) uint8.
        plan: Where to crop, from `plan_crop` with the same image size.
    """
    slices, outside = [], []
    for axis in (0, 1):
        available = _subsampled(image.shape[axis], plan.offset[axis], plan.step)
        start, length = plan.corner[axis], plan.size[axis]
        low = min(max(start, 0), available - 1)
        high = min(max(start + length - 1, 0), available - 1)
        before = min(max(low - start, 0), length - 1)
        outside += [before, length - before - (high - low + 1)]
        origin = min(plan.offset[axis], image.shape[axis] - 1)
        slices.append(slice(origin + low * plan.step, origin + high * plan.step + 1, plan.step))
    above, below, left, right = outside
    return Crop(image[slices[0], slices[1]], (above, below, left, right))


def resample(pixels: torch.Tensor, width: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
    """Interpolate a crop on the device.

    Args:
        pixels: Pixels (P, 4) uint8, line by line, the fourth channel unused: as one number each they are collected four
            times as fast. Those beyond the crop are not read.
        width: The number of pixels in a line (1,); on the device, so that the size of a crop does not shape what is
            computed.
        taps: Source lines and shares (6, S) float32, for the rows, then for the columns; see `all_taps`.

    Returns:
        (1, 3, S, S) float32, 0..255.
    """
    side = taps.shape[1]
    rows, columns = taps[0:2].long(), taps[3:5].long()
    places = (rows * width.long())[:, None, :, None] + columns[None, :, None, :]  # (2, 2, S, S): row tap, column tap
    corners = pixels.view(torch.int32)[:, 0].index_select(0, places.flatten()).view(torch.uint8)
    corners = corners.view(2, 2, side, 4 * side).float()
    left_and_right = torch.lerp(corners[0], corners[1], taps[2, :, None])  # (2, S, S*4)
    patch = torch.lerp(left_and_right[0], left_and_right[1], taps[5].repeat_interleave(4, output_size=4 * side))
    return patch.view(side, side, 4)[None, :, :, :3].permute(0, 3, 1, 2)


def write_pixels(crop: NDArray[np.uint8], destination: NDArray[np.uint8]) -> None:
    """Write the pixels of a crop (h, w, 3) uint8 to (h * w, 4) uint8, as `resample` reads them."""
    # OpenCV steps over lines, not over pixels.
    lines = crop if crop.strides[1:] == (3, 1) else np.ascontiguousarray(crop)
    cv2.cvtColor(lines, cv2.COLOR_RGB2RGBA, dst=destination.reshape(*crop.shape[:2], 4))


def interpolate(crop: Crop, patch: NDArray[np.float32]) -> None:
    """Interpolate a crop on the host: first along its columns, then along its rows, in the arithmetic of `resample`.

    Args:
        crop: The crop.
        patch: Where to write it, (3, OH, OW) float32, 0..255.
    """
    height, width = crop.pixels.shape[:2]
    lines = torch.from_numpy(crop.pixels.astype(np.float32, order="C")).view(height, width * 3)
    columns = _between(lines, crop.taps(0, patch.shape[1])).view(-1, width, 3).transpose(0, 1)  # (w, OH, 3)
    turned = _between(columns.reshape(width, -1), crop.taps(1, patch.shape[2]))  # (OW, OH * 3)
    torch.from_numpy(patch).copy_(turned.view(len(turned), -1, 3).permute(2, 1, 0))


def _between(lines: torch.Tensor, taps: AxisTaps) -> torch.Tensor:
    """Lines (O, N) interpolated between pairs of lines (L, N)."""
    first, second = (lines.index_select(0, torch.from_numpy(index)) for index in (taps.first, taps.second))
    return torch.lerp(first, second, torch.from_numpy(taps.fraction)[:, None])


def resize(crop: Crop, patch: NDArray[np.float32]) -> None:
    """What `interpolate` does, by OpenCV, in a third of the time.

    It rounds places between two pixels otherwise, to less than a ten thousandth of a pixel: too much to repeat the
    original's numbers, and nothing that a target would notice.

    Args:
        crop: The crop.
        patch: Where to write it, (3, OH, OW) float32, 0..255.
    """
    pixels: NDArray[Any] = crop.pixels.astype(np.float32, order="C")
    if any(crop.outside):
        pixels = cv2.copyMakeBorder(pixels, *crop.outside, cv2.BORDER_REPLICATE)
    if pixels.shape[:2] != patch.shape[1:]:
        pixels = cv2.resize(pixels, (patch.shape[2], patch.shape[1]), interpolation=cv2.INTER_LINEAR)
    for channel, plane in enumerate(patch):
        plane[...] = pixels[:, :, channel]


def sample_patch(
    image: NDArray[np.uint8],
    center: Pair,
    crop_size: Pair,
    output_size: tuple[int, int] | None,
    mode: BorderMode = "replicate",
    max_scale_change: float | None = None,
) -> tuple[torch.Tensor, tuple[int, int, int, int]]:
    """Crop and resize in one call, on the host.

    Args:
        image: The image (H, W, 3) uint8.
        center: Row and column of the crop's centre in the image.
        crop_size: Height and width of the crop in image pixels.
        output_size: Rows and columns of the result; None leaves the crop as it is.
        mode: What to do with a crop that leaves the image, see `TrackerConfig.border_mode`.
        max_scale_change: The factor by which the mode may shrink the crop at most; None: any.

    Returns:
        The patch (1, 3, OH, OW) float32, 0..255, and its coordinates (top, left, bottom, right) in the image.
    """
    plan = plan_crop(image.shape[:2], center, crop_size, output_size, mode, max_scale_change)
    size = output_size or plan.size
    patch = np.empty((3, *size), np.float32)
    interpolate(read_crop(image, plan), patch)
    return torch.from_numpy(patch)[None], plan.coordinates


def all_taps(crop: Crop, side: int) -> NDArray[np.float32]:
    """(6, S): first source line, second source line, share of the second, for rows, then columns.

    Line numbers are exact in float32.
    """
    both = (crop.taps(axis, side) for axis in (0, 1))
    return np.stack([line.astype(np.float32) for taps in both for line in taps])
