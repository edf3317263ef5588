"""The device part of one tracked frame: from the search areas' pixels to the final boxes.

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
from trdimp_ros.models.target_filter import apply_filter
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import resample
from trdimp_ros.tracking.frame_exchange import FrameNumbers, ParameterNumbers, pack_decision
from trdimp_ros.tracking.localization import Localization, State, Thresholds, localize, of_scale
from trdimp_ros.tracking.refinement import ascend, select_box, start_boxes

StageHook = Callable[[str], None]
"""Called with a stage's name when the work of that stage has been issued; for measuring."""

CENTER_OUTSIDE = 0.3
"""The target's centre may leave the image by this share of its size."""


def no_stage(name: str) -> None:
    """The stage hook of a tracker that is not measured."""


@dataclass
class TargetModels:
    """What the tracker has learned of its targets, on the device; all updated in place.

    Attributes:
        filters: (T, C, K, K) float32.
        memory: The encoded template frames, batch size T.
        scorer: Box scores of T targets, None without IoU predictor.
    """

    filters: torch.Tensor
    memory: EncodedMemory
    scorer: BoxScorer | None

    def first(self, targets: int) -> TargetModels:
        """Those of the first targets only; views."""
        memory = EncodedMemory(self.memory.keys[:targets], self.memory.values[:targets])
        return TargetModels(self.filters[:targets], memory, self.scorer)


class FrameOutput(NamedTuple):
    """Result of `locate_frame` for T targets.

    Attributes:
        decision: (T, 11) packed, see `FrameDecision`.
        score_map: (T, H', W') of the chosen scale.
        feature: (T, h, w, C) its classification feature.
        decoded: (T, h, w, C) float32, the same after the decoder.
    """

    decision: torch.Tensor
    score_map: torch.Tensor
    feature: torch.Tensor
    decoded: torch.Tensor


def locate_frame(
    network: TrDiMPNet,
    models: TargetModels,
    pixels: torch.Tensor,
    numbers: FrameNumbers,
    parameters: ParameterNumbers,
    window: torch.Tensor | None,
    config: TrackerConfig,
    dtype: torch.dtype,
    stage: StageHook,
) -> FrameOutput:
    """Find T targets in their search areas and refine their boxes.

    Args:
        network: Prepared for inference.
        models: Of the targets.
        pixels: (T*N, P, 3) uint8, a crop for each target and scale, see `CropUpload`.
        numbers: What the host decided.
        parameters: In force.
        window: (H', W') output window or None.
        config: Only its fixed fields are read.
        dtype: Of the backbone.
        stage: Told what has been done.
    """
    targets, scales = numbers.sample_scales.shape
    crops = zip(pixels, numbers.widths.flatten(0, 1), numbers.taps.flatten(0, 1), strict=True)
    patches = torch.cat([resample(*crop) for crop in crops])  # (T*N, 3, S, S)
    stage("crop")
    fine, coarse = network.backbone(network.backbone.normalize(patches).to(dtype))
    stage("backbone")
    features = network.classifier.classification_feature(coarse)
    features = features.view(targets, scales, *features.shape[1:])  # (T, N, h, w, C)
    stage("features")
    transformer = network.classifier.transformer
    by_scale = [transformer.decode(one.flatten(1, 2), models.memory) for one in features.unbind(1)]  # N times (T, L, C)
    decoded = torch.stack(by_scale, dim=1).view(features.shape).float()
    stage("decoder")
    scores = apply_filter(decoded.transpose(0, 1), models.filters).transpose(0, 1)  # (T, N, H', W')
    found = localize(
        scores,
        numbers.sample_positions,
        numbers.sample_scales,
        numbers.position,
        numbers.size,
        Thresholds(*parameters.thresholds.unbind()),
        config.image_sample_size,
        network.config.filter_size,
        window,
        config.advanced_localization,
    )
    stage("scores")
    if models.scorer is None:
        decision = _follow_scale(found, numbers)
    else:
        layers = (of_scale(layer.unflatten(0, (targets, scales)), found.scale_index) for layer in (fine, coarse))
        iou_features = network.bb_regressor.search_features(*layers)
        stage("box features")
        decision = refine_frame(models.scorer, iou_features, found, numbers, parameters, config)
        stage("refinement")
    return FrameOutput(
        decision, found.score_map, of_scale(features, found.scale_index), of_scale(decoded, found.scale_index)
    )


def _new_position(found: Localization, numbers: FrameNumbers, size: torch.Tensor) -> torch.Tensor:
    """The chosen peaks' positions in the image (T, 2), kept near the image."""
    position = of_scale(numbers.sample_positions, found.scale_index) + found.displacement
    return torch.maximum(torch.minimum(position, numbers.image_size + CENTER_OUTSIDE * size), -CENTER_OUTSIDE * size)


def _follow_scale(found: Localization, numbers: FrameNumbers) -> torch.Tensor:
    """The decisions (T, 11) without IoU predictor: the size follows the best of the scales."""
    lost = (found.state == State.NOT_FOUND)[:, None]
    scale = of_scale(numbers.sample_scales, found.scale_index)[:, None]
    scale = torch.maximum(torch.minimum(scale, numbers.scale_bounds[:, 1:]), numbers.scale_bounds[:, :1])
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
    parameters: ParameterNumbers,
    config: TrackerConfig,
) -> torch.Tensor:
    """The decisions with IoU predictor: refined boxes, or the last one where a target was not found.

    Args:
        scorer: Of the T targets.
        features: IoU features of the chosen scales, batch size T.
        found: Result of `localize`.
        numbers: What the host decided.
        parameters: In force.
        config: Only its fixed fields are read.

    Returns:
        (T, 11) packed, see `FrameDecision`.
    """
    sample_position = of_scale(numbers.sample_positions, found.scale_index)  # (T, 2)
    sample_scale = of_scale(numbers.sample_scales, found.scale_index)[:, None]
    middle = (config.image_sample_size - 1) / 2
    position = _new_position(found, numbers, numbers.size)

    center = (position - sample_position) / sample_scale + middle
    extent = numbers.size / sample_scale
    boxes = torch.cat([(center - (extent - 1) / 2).flip(1), extent.flip(1)], dim=1)  # (T, 4)
    candidates = start_boxes(boxes, numbers.uniform, parameters.jitter[0], parameters.jitter[1])
    candidates, scores = ascend(scorer, features, candidates, config, parameters.step, parameters.decay)
    selected = select_box(candidates, scores, config.iounet_k, parameters.max_aspect_ratio)

    refined = (selected.box[:, :2] + selected.box[:, 2:] / 2).flip(1)
    refined_position = (refined - middle) * sample_scale + sample_position
    refined_size = selected.box[:, 2:].flip(1) * sample_scale
    refined_scale = torch.sqrt(refined_size.prod(dim=1) / numbers.base_size.prod(dim=1))[:, None]

    lost = (found.state == State.NOT_FOUND)[:, None]
    sensible = selected.any_left & torch.isfinite(selected.box).all(dim=1)
    use = ~lost & sensible[:, None]
    keep_scale = ~use
    if not config.update_scale_when_uncertain:
        keep_scale = keep_scale | (found.state == State.UNCERTAIN)[:, None]
    classified = torch.where(lost, numbers.position, position)
    final_position = torch.where(use, refined_position, classified)
    return pack_decision(
        found,
        final_position,
        torch.where(use, refined_size, numbers.size),
        torch.where(keep_scale, numbers.scale, refined_scale),
        final_position if config.use_iounet_pos_for_learning else classified,
    )
