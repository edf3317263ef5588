"""From crops on the host to search areas on the device, always at the same addresses.

A processor interpolates each crop as it comes: the cost is that of its own pixels. A GPU gets the pixels as they are
and interpolates them itself, in operations whose shapes do not depend on the crop, so that they can be recorded. Both
compute the same numbers, where the processor does not `resize`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.cropping import MAX_SHRINK, Crop, all_taps, interpolate, resample, resize, write_pixels
from trdimp_ros.tracking.uploads import Upload, rows, shaped

Values = TypeVar("Values")

Interpolation = Callable[[Crop, NDArray[np.float32]], None]


class CropUpload(Protocol):
    """Room for the search areas of a frame."""

    def put(self, index: int, crop: Crop) -> None:
        """Take the crop of one search area."""

    def send(self) -> None:
        """Send what has been taken, so far as it is not under way."""

    def patches(self, first: int, stop: int) -> torch.Tensor:
        """The search areas from ``first`` to before ``stop``, (N, 3, S, S) float32 RGB 0..255, on the device."""


class PatchUpload:
    """Search areas on a processor.

    Args:
        crops: The number of search areas.
        side: The side S of the network input.
        interpolate: Writes a crop to a search area (3, S, S).
    """

    def __init__(self, crops: int, side: int, interpolate: Interpolation = interpolate) -> None:
        self._interpolate = interpolate
        self._patches = torch.zeros(crops, 3, side, side)
        self._planes = self._patches.numpy()

    def put(self, index: int, crop: Crop) -> None:
        """See `CropUpload.put`."""
        self._interpolate(crop, self._planes[index])

    def send(self) -> None:
        """See `CropUpload.send`."""

    def patches(self, first: int, stop: int) -> torch.Tensor:
        """See `CropUpload.patches`."""
        return self._patches[first:stop]


@dataclass(frozen=True)
class CropInputs(Generic[Values]):
    """How a device has to interpolate each crop; network input of side S.

    Attributes:
        width: Pixels in a line of the crop.
        taps: First source line, second one and share of the second, for rows, then columns; see `all_taps`.
    """

    width: Values = shaped(1)
    taps: Values = shaped(6, "side")


class PixelUpload:
    """Search areas on a device that interpolates them itself.

    Args:
        crops: The number of search areas B.
        side: The side S of the network input; a crop has at most `MAX_SHRINK` times as many lines.
        device: The device that the pixels go to.

    Attributes:
        pixels: (B, P, 4) uint8 on the device; a crop fills the first of its P pixels, line by line, see `resample`.
    """

    def __init__(self, crops: int, side: int, device: torch.device) -> None:
        self._side, room = side, (math.ceil(MAX_SHRINK * side) + 2) ** 2
        self._host = torch.zeros(crops, room, 4, dtype=torch.uint8, pin_memory=device.type == "cuda")
        # Without a device of its own nothing has to be copied.
        self.pixels = self._host if device.type == "cpu" else torch.zeros_like(self._host, device=device)
        self._inputs: Upload[CropInputs[NDArray[np.float32]], CropInputs[torch.Tensor]] = Upload(
            CropInputs, device, crops, side=side
        )

    def put(self, index: int, crop: Crop) -> None:
        """See `CropUpload.put`; only as many pixels are copied as the crop has."""
        height, width = crop.pixels.shape[:2]
        used = self._host[index, : height * width]
        write_pixels(crop.pixels, used.numpy())
        if self.pixels is not self._host:
            self.pixels[index, : height * width].copy_(used, non_blocking=True)
        taps = all_taps(crop, self._side)
        self._inputs.fill(CropInputs(width=np.array([width], np.float32), taps=taps), target=index)

    def send(self) -> None:
        """See `CropUpload.send`."""
        self._inputs.send()

    def patches(self, first: int, stop: int) -> torch.Tensor:
        """See `CropUpload.patches`."""
        inputs = rows(self._inputs.tensors, first, stop)
        crops = zip(self.pixels[first:stop], inputs.width, inputs.taps, strict=True)
        return torch.cat([resample(*crop) for crop in crops])


def crop_upload(crops: int, side: int, device: torch.device, quick: bool = False) -> CropUpload:
    """Room for search areas on a device.

    Args:
        crops: The number of search areas.
        side: The side of the network input.
        device: The device that they go to.
        quick: Whether a processor may compute them less exactly, see `resize`.
    """
    if device.type == "cpu":
        return PatchUpload(crops, side, resize if quick else interpolate)
    return PixelUpload(crops, side, device)
