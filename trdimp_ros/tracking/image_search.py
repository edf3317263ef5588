"""Looking for lost targets in search areas elsewhere in the image.

Only the way up to the score maps is gone, for all areas of all lost targets at once; a box is not refined. Areas of one
target share its filter and its template memory, which are read and not changed: what was learned before the loss stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.target_filter import apply_filter, score_size
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.crop_uploads import crop_upload
from trdimp_ros.tracking.cropping import plan_crop, read_crop
from trdimp_ros.tracking.device_steps import DeviceSteps
from trdimp_ros.tracking.geometry import Coordinates, Pair, centered_sample_position, sample_location
from trdimp_ros.tracking.graphs import GraphRunner
from trdimp_ros.tracking.host_inputs import HostArray
from trdimp_ros.tracking.localization import find_peak, without_neighborhood
from trdimp_ros.tracking.uploads import Upload, rows, shaped

Values = TypeVar("Values")


@dataclass(frozen=True)
class SearchInputs(Generic[Values]):
    """What the host decides for each of the areas that are searched; network input of side S.

    Attributes:
        index: The index of the target that is looked for in it.
        neighborhood: Height and width, in score cells, of the box round the peak in which no second one counts.
    """

    index: Values = shaped(1)
    neighborhood: Values = shaped(2)


class AreaToSearch(NamedTuple):
    """A part of the image in which one target is looked for.

    Attributes:
        target: The target's index on the device.
        center: Row and column of the area's middle.
        size: Height and width that the target is expected to have.
        scale: Image pixels per pixel of the network input.
    """

    target: int
    center: Pair
    size: Pair
    scale: np.float32


class ScorePeak(NamedTuple):
    """What the target filter says of a search area.

    Attributes:
        position: Row and column in the image where it scores highest.
        confidence: The score there.
        second: The highest score away from there.
    """

    position: Pair
    confidence: float
    second: float


class ImageSearch:
    """Searches a few areas of an image at a time.

    Args:
        network: The network prepared for inference.
        steps: Holds what has been learned of the targets, which is only read.
        config: Parameters, whose fixed fields give the sizes.
    """

    def __init__(self, network: InferenceNetwork, steps: DeviceSteps, config: TrackerConfig) -> None:
        self._network, self._filters, self._encoded = network, steps.filters, steps.encoded
        self._side, self._most = config.image_sample_size, max(config.reacquire_budget, 1)
        cells = self._side // STRIDE
        self._score_size = score_size((cells, cells), network.config.filter_size)
        extra = (network.config.filter_size + 1) % 2
        self._cell = np.asarray([self._side / (length - extra) for length in self._score_size], np.float32)
        self._crops = crop_upload(self._most, self._side, network.device, quick=network.engine.compiles)
        self._inputs: Upload[SearchInputs[HostArray], SearchInputs[torch.Tensor]] = Upload(
            SearchInputs, network.device, self._most
        )
        self._runner = GraphRunner(network.device, steps.uses_graphs)

    @torch.inference_mode()
    def __call__(
        self, image: NDArray[np.uint8], areas: Sequence[AreaToSearch], config: TrackerConfig
    ) -> list[ScorePeak]:
        """Search areas of an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            areas: What to search, `TrackerConfig.reacquire_budget` of them at a time.
            config: The parameters in force.

        Returns:
            The highest score of each area.
        """
        peaks = []
        for first in range(0, len(areas), self._most):
            group = areas[first : first + self._most]
            coordinates = [self._upload(image, row, area, config) for row, area in enumerate(group)]
            self._crops.send()
            self._inputs.send()
            found = read_scores(self._runner.run(self._score, len(group)))
            peaks += [self._peak(row, where) for row, where in zip(found, coordinates, strict=True)]
        return peaks

    def _upload(self, image: NDArray[np.uint8], row: int, area: AreaToSearch, config: TrackerConfig) -> Coordinates:
        """Send an area's pixels and numbers; returns where it really lies, which the image's borders decide too."""
        side = self._side
        center = centered_sample_position(
            area.center, float(area.scale), side, side // STRIDE, self._network.config.filter_size
        )
        length = np.full(2, area.scale * np.float32(side), np.float32)
        plan = plan_crop(
            image.shape[:2], center, length, (side, side), config.border_mode, config.patch_max_scale_change
        )
        self._crops.put(row, read_crop(image, plan))
        _, scale = sample_location(plan.coordinates, side)
        inputs = SearchInputs(
            index=np.array([area.target], np.float32),
            neighborhood=(config.target_neighborhood_scale * (area.size / scale) / self._cell).astype(np.float32),
        )
        self._inputs.fill(inputs, target=row)
        return plan.coordinates

    def _score(self, count: int) -> torch.Tensor:
        """(count, 4) highest and second score of each area, row and column of the highest in cells."""
        network, inputs = self._network, rows(self._inputs.tensors, 0, count)
        _, coarse = network.engine.backbone(self._crops.patches(0, count))
        feature = network.engine.classification_feature(coarse)  # (B, h, w, C)
        indices, encoded = inputs.index[:, 0].long(), self._encoded
        memory = EncodedMemory(encoded.keys.index_select(0, indices), encoded.values.index_select(0, indices))
        decoded = network.engine.decode(feature.flatten(1, 2), memory).view(feature.shape).float()
        scores = apply_filter(decoded[None], self._filters.index_select(0, indices))[0]  # (B, H', W')
        first, peak = find_peak(scores)
        second, _ = find_peak(without_neighborhood(scores, peak, inputs.neighborhood))
        return torch.cat([first[:, None], second[:, None], peak], dim=1)

    def _peak(self, found: NDArray[np.float32], coordinates: Coordinates) -> ScorePeak:
        position, scale = sample_location(coordinates, self._side)
        middle = (np.asarray(self._score_size, np.float32) - 1) / 2
        peak = (position + (found[2:] - middle) * self._cell * scale).astype(np.float32)
        return ScorePeak(peak, float(found[0]), float(found[1]))


def read_scores(packed: torch.Tensor) -> NDArray[np.float32]:
    """What `ImageSearch` has computed, on the host; this waits for the device."""
    return np.asarray(packed.cpu().numpy(), np.float32)
