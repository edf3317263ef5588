"""The device part of one tracked frame: from the search area's pixels to the final box.

`locate_frame` takes everything the host decides in one small tensor and returns everything the host needs in another.
In between nothing depends on the host and all shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.box_regressor import BoxScorer
from trdimp_ros.models.resnet import normalize_image
from trdimp_ros.models.target_filter import apply_filter
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.localization import Localization, Rule, State, Thresholds, localize
from trdimp_ros.tracking.refinement import ascend, select_box, start_boxes

StageHook = Callable[[str], None]
"""Called with a stage's name when the work of that stage has been issued; for measuring."""

CENTER_OUTSIDE = 0.3
"""The target's centre may leave the image by this share of its size."""


class FrameScalars(NamedTuple):
    """What the host decides for a frame: float32 tensors, all views of one upload.

    Attributes:
        position: (2,) last position of the target.
        size: (2,) its height and width.
        scale: (1,) image pixels per pixel of the network input that its size calls for.
        base_size: (2,) its size at scale 1.
        scale_bounds: (2,) smallest and largest scale, without IoU predictor.
        image_size: (2,) rows and columns.
        sample_positions: (N * 2,) centres of the search areas of N scales.
        sample_scales: (N,) their image pixels per pixel of the network input.
        thresholds: (7,) of `Thresholds`.
        jitter: (2,) box_jitter_pos, box_jitter_sz.
        max_aspect_ratio: (1,).
        step: (4,) step lengths of the refinement.
        decay: (1,).
    """

    position: torch.Tensor
    size: torch.Tensor
    scale: torch.Tensor
    base_size: torch.Tensor
    scale_bounds: torch.Tensor
    image_size: torch.Tensor
    sample_positions: torch.Tensor
    sample_scales: torch.Tensor
    thresholds: torch.Tensor
    jitter: torch.Tensor
    max_aspect_ratio: torch.Tensor
    step: torch.Tensor
    decay: torch.Tensor

    @classmethod
    def upload(cls, values: dict[str, NDArray[np.float32]], device: torch.device) -> FrameScalars:
        """Move the named values to the device in one copy."""
        arrays = [np.asarray(values[name], np.float32).ravel() for name in cls._fields]
        flat = torch.from_numpy(np.concatenate(arrays)).to(device, non_blocking=True)
        return cls(*flat.split([len(array) for array in arrays]))


def config_scalars(config: TrackerConfig) -> dict[str, NDArray[np.float32]]:
    """The part of `FrameScalars` that the parameters decide."""
    length = config.box_refinement_step_length
    size_length = config.box_refinement_size_step_length or length
    values = {
        "thresholds": [getattr(config, name) for name in Thresholds._fields],
        "jitter": [config.box_jitter_pos, config.box_jitter_sz],
        "max_aspect_ratio": [config.maximal_aspect_ratio],
        "step": [length, length, size_length, size_length],
        "decay": [config.box_refinement_step_decay],
    }
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


class FrameDecision(NamedTuple):
    """What the host needs of a frame, one small copy.

    Attributes:
        rule: A `localization.Rule`.
        state: A `State`.
        scale_index: Which of the scales won.
        confidence: Maximum of the score map.
        position: (row, column) of the target after the frame.
        size: (height, width).
        scale: Of the next search area.
        learn_position: Where the frame's features are learned.
    """

    rule: int
    state: State
    scale_index: int
    confidence: float
    position: NDArray[np.float32]
    size: NDArray[np.float32]
    scale: np.float32
    learn_position: NDArray[np.float32]

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        numbers = (self.confidence, self.scale, *self.position, *self.size, *self.learn_position)
        return bool(np.isfinite(numbers).all())

    def lost(self, position: NDArray[np.float32], size: NDArray[np.float32], scale: np.float32) -> FrameDecision:
        """The decision that nothing was found and everything stays as it was."""
        return FrameDecision(
            int(Rule.NOT_FOUND), State.NOT_FOUND, self.scale_index, 0.0, position, size, scale, position
        )

    @classmethod
    def from_packed(cls, packed: NDArray[np.float32]) -> FrameDecision:
        """Inverse of `pack_decision`."""
        return cls(
            rule=int(packed[0]),
            state=State(int(packed[1])),
            scale_index=int(packed[2]),
            confidence=float(packed[3]),
            position=packed[4:6].copy(),
            size=packed[6:8].copy(),
            scale=packed[8],
            learn_position=packed[9:11].copy(),
        )


def pack_decision(
    found: Localization, position: torch.Tensor, size: torch.Tensor, scale: torch.Tensor, learn_position: torch.Tensor
) -> torch.Tensor:
    """(11,) float32, see `FrameDecision.from_packed`."""
    numbers = torch.stack([found.rule, found.state, found.scale_index]).float()
    return torch.cat([numbers, found.confidence[None], position, size, scale, learn_position])


@dataclass
class TargetModel:
    """What the tracker has learned of a target, on the device.

    Attributes:
        filters: (1, C, K, K) float32, updated in place.
        memory: The encoded template frames, updated in place.
        scorer: Box scores, None without IoU predictor.
    """

    filters: torch.Tensor
    memory: EncodedMemory
    scorer: BoxScorer | None


class FrameOutput(NamedTuple):
    """Result of `locate_frame`.

    Attributes:
        decision: (11,) packed, see `FrameDecision`.
        score_map: (H', W') of the chosen scale.
        feature: (1, h, w, C) its classification feature.
        decoded: (1, h, w, C) float32, the same after the decoder.
    """

    decision: torch.Tensor
    score_map: torch.Tensor
    feature: torch.Tensor
    decoded: torch.Tensor


def locate_frame(
    network: TrDiMPNet,
    model: TargetModel,
    patches: torch.Tensor,
    scalars: FrameScalars,
    uniform: torch.Tensor,
    window: torch.Tensor | None,
    config: TrackerConfig,
    dtype: torch.dtype,
    stage: StageHook,
) -> FrameOutput:
    """Find the target in its search areas and refine its box.

    Args:
        network: Prepared for inference.
        model: Of the target.
        patches: (N, 3, S, S) float32, 0..255, one for each scale.
        scalars: What the host decided.
        uniform: (R, 4) random numbers for the candidate boxes.
        window: (H', W') output window or None.
        config: Only its fixed fields are read.
        dtype: Of the backbone.
        stage: Told what has been done.
    """
    fine, coarse = network.feature_extractor(normalize_image(patches).to(dtype))
    stage("backbone")
    features = network.classifier.features(coarse)  # (N, h, w, C)
    stage("features")
    shape = features.shape
    decoded = network.classifier.transformer.decode(features.flatten(1, 2), model.memory).view(shape).float()
    stage("decoder")
    scores = apply_filter(decoded[:, None], model.filters)[:, 0]  # (N, H', W')
    found = localize(
        scores,
        scalars.sample_positions.view(-1, 2),
        scalars.sample_scales,
        scalars.position,
        scalars.size,
        Thresholds(*scalars.thresholds.unbind()),
        config.image_sample_size,
        network.config.filter_size,
        window,
        config.advanced_localization,
    )
    chosen = found.scale_index[None]
    stage("scores")
    if model.scorer is None:
        decision = _follow_scale(found, scalars)
    else:
        layers = (fine, coarse) if len(patches) == 1 else (fine.index_select(0, chosen), coarse.index_select(0, chosen))
        iou_features = network.bb_regressor.search_features(*layers)
        stage("box features")
        decision = refine_frame(model.scorer, iou_features, found, scalars, uniform, config)
        stage("refinement")
    return FrameOutput(decision, found.score_map, features.index_select(0, chosen), decoded.index_select(0, chosen))


def _new_position(found: Localization, scalars: FrameScalars, size: torch.Tensor) -> torch.Tensor:
    """The chosen peak's position in the image (2,), kept near the image."""
    sample_position = scalars.sample_positions.view(-1, 2).index_select(0, found.scale_index[None])[0]
    position = sample_position + found.displacement
    return torch.maximum(torch.minimum(position, scalars.image_size + CENTER_OUTSIDE * size), -CENTER_OUTSIDE * size)


def _follow_scale(found: Localization, scalars: FrameScalars) -> torch.Tensor:
    """The decision without IoU predictor: the size follows the best of the scales."""
    lost = found.state == State.NOT_FOUND
    scale = scalars.sample_scales.index_select(0, found.scale_index[None])
    scale = torch.maximum(torch.minimum(scale, scalars.scale_bounds[1]), scalars.scale_bounds[0])
    size = scalars.base_size * scale
    position = torch.where(lost, scalars.position, _new_position(found, scalars, size))
    return pack_decision(
        found,
        position,
        torch.where(lost, scalars.size, size),
        torch.where(lost, scalars.scale, scale),
        position,
    )


def refine_frame(
    scorer: BoxScorer,
    features: tuple[torch.Tensor, torch.Tensor],
    found: Localization,
    scalars: FrameScalars,
    uniform: torch.Tensor,
    config: TrackerConfig,
) -> torch.Tensor:
    """The decision with IoU predictor: the refined box, or the last one where the target was not found.

    Args:
        scorer: Of the target.
        features: IoU features of the chosen scale.
        found: Result of `localize`.
        scalars: What the host decided.
        uniform: (R, 4) random numbers.
        config: Only its fixed fields are read.

    Returns:
        (11,) packed, see `FrameDecision`.
    """
    chosen = found.scale_index[None]
    sample_position = scalars.sample_positions.view(-1, 2).index_select(0, chosen)[0]
    sample_scale = scalars.sample_scales.index_select(0, chosen)
    middle = (config.image_sample_size - 1) / 2
    position = _new_position(found, scalars, scalars.size)

    center = (position - sample_position) / sample_scale + middle
    extent = scalars.size / sample_scale
    box = torch.cat([(center - (extent - 1) / 2).flip(0), extent.flip(0)])
    candidates = start_boxes(box, uniform, scalars.jitter[0], scalars.jitter[1])
    boxes, scores = ascend(scorer, features, candidates, config, scalars.step, scalars.decay)
    selected = select_box(boxes, scores, config.iounet_k, scalars.max_aspect_ratio)

    refined = (selected.box[:2] + selected.box[2:] / 2).flip(0)
    refined_position = (refined - middle) * sample_scale + sample_position
    refined_size = selected.box[2:].flip(0) * sample_scale
    refined_scale = torch.sqrt(refined_size.prod() / scalars.base_size.prod())[None]

    lost = found.state == State.NOT_FOUND
    sensible = selected.any_left & torch.isfinite(selected.box).all()
    use = ~lost & sensible
    keep_scale = ~use
    if not config.update_scale_when_uncertain:
        keep_scale = keep_scale | (found.state == State.UNCERTAIN)
    classified = torch.where(lost, scalars.position, position)
    final_position = torch.where(use, refined_position, classified)
    return pack_decision(
        found,
        final_position,
        torch.where(use, refined_size, scalars.size),
        torch.where(keep_scale, scalars.scale, refined_scale),
        final_position if config.use_iounet_pos_for_learning else classified,
    )
