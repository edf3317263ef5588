"""What the host decides and the device needs: for a frame, for an update of what has been learned, and the parameters.

Each class below lists its numbers once. It holds numpy arrays on the host (of one target) and tensors on the device
(of T targets, in a first dimension); `Upload` takes the shapes from the declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.localization import Thresholds
from trdimp_ros.tracking.uploads import Upload, shaped

Values = TypeVar("Values")
HostArray = NDArray[np.float32]


@dataclass(frozen=True)
class FrameInputs(Generic[Values]):
    """What the host decides for a frame, for each target; N scales, R random candidates, network input of side S.

    Attributes:
        position: (row, column) of the target in the last frame, image pixels.
        size: Height and width of the target in the last frame.
        scale: Image pixels per pixel of the network input that its size calls for.
        base_size: Height and width of the target at scale 1.
        scale_bounds: Smallest and largest scale, for a tracker without IoU predictor.
        image_size: Rows and columns of the image.
        sample_positions: The centres of the search areas of N scales.
        sample_scales: Their image pixels per pixel of the network input.
        uniform: Random numbers from 0 to 1 for the candidate boxes.
    """

    position: Values = shaped(2)
    size: Values = shaped(2)
    scale: Values = shaped(1)
    base_size: Values = shaped(2)
    scale_bounds: Values = shaped(2)
    image_size: Values = shaped(2)
    sample_positions: Values = shaped("scales", 2)
    sample_scales: Values = shaped("scales")
    uniform: Values = shaped("candidates", 4)


@dataclass(frozen=True)
class UpdateInputs(Generic[Values]):
    """What the host decides for learning from a located frame, for each target.

    Attributes:
        box: The target's x, y, w, h in its search area, pixels of the network input.
        sample_slot: The slot of the filter memory that the frame is stored in.
        sample_weights: The weights of all samples of the filter memory.
        template_slot: The slot of the template memory that the next frame goes to.
    """

    box: Values = shaped(4)
    sample_slot: Values = shaped(1)
    sample_weights: Values = shaped("samples", 1)
    template_slot: Values = shaped(1)


@dataclass(frozen=True)
class ParameterInputs(Generic[Values]):
    """The parameters that are numbers and may change while tracking.

    Attributes:
        thresholds: The fields of `Thresholds`.
        jitter: box_jitter_pos and box_jitter_sz.
        max_aspect_ratio: maximal_aspect_ratio.
        step: The step length of the box refinement for each of four coordinates.
        decay: box_refinement_step_decay.
    """

    thresholds: Values = shaped(len(Thresholds._fields))
    jitter: Values = shaped(2)
    max_aspect_ratio: Values = shaped(1)
    step: Values = shaped(4)
    decay: Values = shaped(1)


FrameUpload = Upload[FrameInputs[HostArray], FrameInputs[torch.Tensor]]
UpdateUpload = Upload[UpdateInputs[HostArray], UpdateInputs[torch.Tensor]]
ParameterUpload = Upload[ParameterInputs[HostArray], ParameterInputs[torch.Tensor]]


def parameter_inputs(config: TrackerConfig) -> ParameterInputs[HostArray]:
    """The `ParameterInputs` of a configuration."""
    length = config.box_refinement_step_length
    size_length = config.box_refinement_size_step_length or length
    return ParameterInputs(
        thresholds=_numbers(*(getattr(config, name) for name in Thresholds._fields)),
        jitter=_numbers(config.box_jitter_pos, config.box_jitter_sz),
        max_aspect_ratio=_numbers(config.maximal_aspect_ratio),
        step=_numbers(length, length, size_length, size_length),
        decay=_numbers(config.box_refinement_step_decay),
    )


def _numbers(*values: float) -> HostArray:
    return np.array(values, np.float32)
