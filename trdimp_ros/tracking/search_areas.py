"""What the device needs to look for a target in an image: the search areas' pixels and a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trdimp_ros.models.config import STRIDE
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import Crop, plan_crop, read_crop
from trdimp_ros.tracking.geometry import Coordinates, centered_sample_position, sample_location, scale_bounds
from trdimp_ros.tracking.host_inputs import FrameInputs, HostArray
from trdimp_ros.tracking.target import TrackedTarget


@dataclass(frozen=True)
class SearchAreas:
    """The search areas of one target, one for each scale.

    Attributes:
        coordinates: The edges of each in the image.
        crops: Their pixels.
        inputs: What else the device needs of them.
    """

    coordinates: list[Coordinates]
    crops: list[Crop]
    inputs: FrameInputs[HostArray]


def find_search_areas(
    image: NDArray[np.uint8], tracked: TrackedTarget, config: TrackerConfig, filter_size: int
) -> SearchAreas:
    """Where to look for a target, round its last position.

    Args:
        image: (H, W, 3) uint8 RGB.
        tracked: The target.
        config: The parameters in force.
        filter_size: Side of the target filter in feature cells.
    """
    state, sample = tracked.state, config.image_sample_size
    center = centered_sample_position(state.position, float(state.scale), sample, sample // STRIDE, filter_size)
    coordinates, crops = [], []
    for factor in config.scale_factors:
        crop_size = np.full(2, state.scale * np.float32(factor) * np.float32(sample), np.float32)
        plan = plan_crop(
            image.shape[:2], center, crop_size, (sample, sample), config.border_mode, config.patch_max_scale_change
        )
        coordinates.append(plan.coordinates)
        crops.append(read_crop(image, plan))
    locations = [sample_location(one, sample) for one in coordinates]
    inputs = FrameInputs(
        position=state.position,
        size=state.size,
        scale=np.asarray([state.scale], np.float32),
        base_size=state.base_size,
        scale_bounds=np.asarray(scale_bounds(state.base_size, image.shape[:2]), np.float32),
        image_size=np.asarray(image.shape[:2], np.float32),
        sample_positions=np.stack([position for position, _ in locations]),
        sample_scales=np.asarray([scale for _, scale in locations], np.float32),
        uniform=tracked.jitter(config.num_init_random_boxes),
    )
    return SearchAreas(coordinates, crops, inputs)
