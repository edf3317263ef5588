"""What shapes the computation of a frame, as one value."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from trdimp_ros.tracking.config import RefinementSpace, TrackerConfig


@dataclass(frozen=True)
class FrameSettings:
    """All that decides which operations a frame consists of, besides the shapes of its inputs.

    The functions of a frame take their parameters from here or from tensors, never from a `TrackerConfig`: so equal
    settings mean the same operations, and the settings are the key under which a frame is recorded as a CUDA graph.

    Attributes:
        filter_size: Side of the target filter in feature cells.
        attended_frames: Number of template frames, from the first slot on, that the decoder attends to.

    All others are fields of `TrackerConfig`.
    """

    filter_size: int
    attended_frames: int
    image_sample_size: int
    window_output: bool
    perform_hn_without_windowing: bool
    advanced_localization: bool
    update_scale_when_uncertain: bool
    use_iounet_pos_for_learning: bool
    iounet_k: int
    box_refinement_iter: int
    box_refinement_space: RefinementSpace

    @classmethod
    def from_config(cls, config: TrackerConfig, filter_size: int, attended_frames: int) -> FrameSettings:
        """The settings of a configuration."""
        values: dict[str, Any] = {"filter_size": filter_size, "attended_frames": attended_frames}
        for spec in dataclasses.fields(cls):
            if spec.name not in values:
                values[spec.name] = getattr(config, spec.name)
        return cls(**values)

    @property
    def windowed(self) -> bool:
        """Whether the first peak is chosen in scores weighted by a Hann window, and judged in the plain ones."""
        return self.window_output and self.perform_hn_without_windowing
