"""The device part of one tracked frame: from the search area's pixels to the final box.

`locate_frame` takes everything the host decides in one small tensor and returns everything the host needs in another
(see `frame_exchange`). In between nothing depends on the host and all shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.resnet import normalize_image
from trdimp_ros.models.target_filter import apply_filter
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import resample
from trdimp_ros.tracking.frame_exchange import FrameNumbers, pack_decision
from trdimp_ros.tracking.localization import Localization, State, Thresholds, localize
from trdimp_ros.tracking.refinement import ascend, select_box, start_boxes

StageHook = Callable[[str], None]
"""Called with a stage's name when the work of that stage has been issued; for measuring."""

CENTER_OUTSIDE = 0.3
"""The target's centre may leave the image by this share of its size."""


def no_stage(name: str) -> None:
    """The stage hook of a tracker that is not measured."""


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
    pixels: torch.Tensor,
    numbers: FrameNumbers,
    window: torch.Tensor | None,
    config: TrackerConfig,
    dtype: torch.dtype,
    stage: StageHook,
) -> FrameOutput:
    """Find the target in its search areas and refine its box.

    Args:
        network: Prepared for inference.
        model: Of the target.
        pixels: (N, P, 3) uint8, a crop for each scale, see `CropUpload`.
        numbers: What the host decided.
        window: (H', W') output window or None.
        config: Only its fixed fields are read.
        dtype: Of the backbone.
        stage: Told what has been done.
    """
    crops = zip(pixels, numbers.widths, numbers.taps, strict=True)
    patches = torch.cat([resample(one, width.long(), taps) for one, width, taps in crops])  # (N, 3, S, S)
    stage("crop")
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
        numbers.sample_positions,
        numbers.sample_scales,
        numbers.position,
        numbers.size,
        Thresholds(*numbers.thresholds.unbind()),
        config.image_sample_size,
        network.config.filter_size,
        window,
        config.advanced_localization,
    )
    chosen = found.scale_index[None]
    stage("scores")
    if model.scorer is None:
        decision = _follow_scale(found, numbers)
    else:
        layers = (fine, coarse) if len(patches) == 1 else (fine.index_select(0, chosen), coarse.index_select(0, chosen))
        iou_features = network.bb_regressor.search_features(*layers)
        stage("box features")
        decision = refine_frame(model.scorer, iou_features, found, numbers, config)
        stage("refinement")
    return FrameOutput(decision, found.score_map, features.index_select(0, chosen), decoded.index_select(0, chosen))


def _new_position(found: Localization, numbers: FrameNumbers, size: torch.Tensor) -> torch.Tensor:
    """The chosen peak's position in the image (2,), kept near the image."""
    sample_position = numbers.sample_positions.index_select(0, found.scale_index[None])[0]
    position = sample_position + found.displacement
    return torch.maximum(torch.minimum(position, numbers.image_size + CENTER_OUTSIDE * size), -CENTER_OUTSIDE * size)


def _follow_scale(found: Localization, numbers: FrameNumbers) -> torch.Tensor:
    """The decision without IoU predictor: the size follows the best of the scales."""
    lost = found.state == State.NOT_FOUND
    scale = numbers.sample_scales.index_select(0, found.scale_index[None])
    scale = torch.maximum(torch.minimum(scale, numbers.scale_bounds[1]), numbers.scale_bounds[0])
    size = numbers.base_size * scale
    position = torch.where(lost, numbers.position, _new_position(found, numbers, size))
    return pack_decision(
        found,
        position,
        torch.where(lost, numbers.size, size),
        torch.where(lost, numbers.scale, scale),
        position,
    )


def refine_frame(
    scorer: BoxScorer,
    features: tuple[torch.Tensor, torch.Tensor],
    found: Localization,
    numbers: FrameNumbers,
    config: TrackerConfig,
) -> torch.Tensor:
    """The decision with IoU predictor: the refined box, or the last one where the target was not found.

    Args:
        scorer: Of the target.
        features: IoU features of the chosen scale.
        found: Result of `localize`.
        numbers: What the host decided.
        config: Only its fixed fields are read.

    Returns:
        (11,) packed, see `FrameDecision`.
    """
    chosen = found.scale_index[None]
    sample_position = numbers.sample_positions.index_select(0, chosen)[0]
    sample_scale = numbers.sample_scales.index_select(0, chosen)
    middle = (config.image_sample_size - 1) / 2
    position = _new_position(found, numbers, numbers.size)

    center = (position - sample_position) / sample_scale + middle
    extent = numbers.size / sample_scale
    box = torch.cat([(center - (extent - 1) / 2).flip(0), extent.flip(0)])
    candidates = start_boxes(box, numbers.uniform, numbers.jitter[0], numbers.jitter[1])
    boxes, scores = ascend(scorer, features, candidates, config, numbers.step, numbers.decay)
    selected = select_box(boxes, scores, config.iounet_k, numbers.max_aspect_ratio)

    refined = (selected.box[:2] + selected.box[2:] / 2).flip(0)
    refined_position = (refined - middle) * sample_scale + sample_position
    refined_size = selected.box[2:].flip(0) * sample_scale
    refined_scale = torch.sqrt(refined_size.prod() / numbers.base_size.prod())[None]

    lost = found.state == State.NOT_FOUND
    sensible = selected.any_left & torch.isfinite(selected.box).all()
    use = ~lost & sensible
    keep_scale = ~use
    if not config.update_scale_when_uncertain:
        keep_scale = keep_scale | (found.state == State.UNCERTAIN)
    classified = torch.where(lost, numbers.position, position)
    final_position = torch.where(use, refined_position, classified)
    return pack_decision(
        found,
        final_position,
        torch.where(use, refined_size, numbers.size),
        torch.where(keep_scale, numbers.scale, refined_scale),
        final_position if config.use_iounet_pos_for_learning else classified,
    )
