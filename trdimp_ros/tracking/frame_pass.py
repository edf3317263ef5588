"""The device part of one tracked frame: from the search areas' pixels to the final boxes.

`locate_frame` takes everything that the host decides from an upload (see `host_inputs`) and returns everything that the
host needs in one small tensor (see `frame_decision`). In between nothing depends on the host and all shapes are fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.target_filter import apply_filter
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.box_stage import BoxQuestion, BoxStage
from trdimp_ros.tracking.frame_decision import pack_decision
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.host_inputs import FrameInputs, ParameterInputs
from trdimp_ros.tracking.localization import Localization, State, Thresholds, localize, select_scale
from trdimp_ros.tracking.refinement import Selection

StageHook = Callable[[str], None]
"""Called with a stage's name when the work of that stage has been issued; for measuring."""

CENTER_OUTSIDE = 0.3
"""The target's centre may leave the image by this share of its size."""


def no_stage(name: str) -> None:
    """The stage hook of a tracker that is not measured."""


@dataclass(frozen=True)
class LearnedModels:
    """What the tracker has learned of T targets, on the device; views of buffers that are updated in place.

    Attributes:
        filters: The target filters (T, C, K, K) float32.
        memory: The encoded template frames that the decoder attends to, batch size T.
        box_stage: Finds boxes of all targets of the tracker; None: sizes only follow the scales.
        first: The index of the first of the T targets in the box stage.
    """

    filters: torch.Tensor
    memory: EncodedMemory
    box_stage: BoxStage | None
    first: int


class DeviceInputs(NamedTuple):
    """What has been uploaded for a frame of T targets at N scales.

    Attributes:
        patches: (T*N, 3, S, S) float32 RGB 0..255, a search area for each target and scale.
        frame: What the host has decided for this frame.
        parameters: The parameters in force.
    """

    patches: torch.Tensor
    frame: FrameInputs[torch.Tensor]
    parameters: ParameterInputs[torch.Tensor]


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
    network: InferenceNetwork, models: LearnedModels, inputs: DeviceInputs, settings: FrameSettings, stage: StageHook
) -> FrameOutput:
    """Find T targets in their search areas and refine their boxes.

    Args:
        network: The network prepared for inference.
        models: What has been learned of the targets.
        inputs: What the host has uploaded.
        settings: What shapes the computation.
        stage: Told what has been done.
    """
    engine, frame = network.engine, inputs.frame
    targets, scales = frame.sample_scales.shape
    stage("crop")
    fine, coarse = engine.backbone(inputs.patches)
    stage("backbone")
    features = engine.classification_feature(coarse)
    features = features.view(targets, scales, *features.shape[1:])  # (T, N, h, w, C)
    stage("features")
    by_scale = [engine.decode(one.flatten(1, 2), models.memory) for one in features.unbind(1)]  # N times (T, L, C)
    decoded = torch.stack(by_scale, dim=1).view(features.shape).float()
    stage("decoder")
    scores = apply_filter(decoded.transpose(0, 1), models.filters).transpose(0, 1)  # (T, N, H', W')
    found = localize(scores, frame, Thresholds(*inputs.parameters.thresholds.unbind()), settings)
    stage("scores")
    if models.box_stage is None:
        decision = follow_scale(found, frame)
    else:
        layers = (select_scale(layer.unflatten(0, (targets, scales)), found.scale_index) for layer in (fine, coarse))
        box_features = models.box_stage.features(*layers)
        stage("box features")
        start = box_at_peak(found, frame, settings)
        question = BoxQuestion(start, frame.uniform, models.first, inputs.parameters, settings)
        decision = decide_box(models.box_stage.find(box_features, question), found, frame, settings)
        stage("refinement")
    return FrameOutput(
        decision, found.score_map, select_scale(features, found.scale_index), select_scale(decoded, found.scale_index)
    )


def _new_position(found: Localization, frame: FrameInputs[torch.Tensor], size: torch.Tensor) -> torch.Tensor:
    """The chosen peaks' positions in the image (T, 2), kept near the image."""
    position = select_scale(frame.sample_positions, found.scale_index) + found.displacement
    return torch.maximum(torch.minimum(position, frame.image_size + CENTER_OUTSIDE * size), -CENTER_OUTSIDE * size)


def follow_scale(found: Localization, frame: FrameInputs[torch.Tensor]) -> torch.Tensor:
    """The decisions (T, 11) without IoU predictor: the size follows the best of the scales."""
    lost = (found.state == State.NOT_FOUND)[:, None]
    scale = select_scale(frame.sample_scales, found.scale_index)[:, None]
    scale = torch.maximum(torch.minimum(scale, frame.scale_bounds[:, 1:]), frame.scale_bounds[:, :1])
    size = frame.base_size * scale
    position = torch.where(lost, frame.position, _new_position(found, frame, size))
    return pack_decision(
        found,
        position,
        torch.where(lost, frame.size, size),
        torch.where(lost, frame.scale, scale),
        position,
    )


def box_at_peak(found: Localization, frame: FrameInputs[torch.Tensor], settings: FrameSettings) -> torch.Tensor:
    """The last boxes, moved to the chosen peaks: (T, 4) x, y, w, h in pixels of the search areas."""
    sample_position = select_scale(frame.sample_positions, found.scale_index)  # (T, 2)
    sample_scale = select_scale(frame.sample_scales, found.scale_index)[:, None]
    position = _new_position(found, frame, frame.size)
    center = (position - sample_position) / sample_scale + (settings.image_sample_size - 1) / 2
    extent = frame.size / sample_scale
    return torch.cat([(center - (extent - 1) / 2).flip(1), extent.flip(1)], dim=1)


def decide_box(
    selected: Selection, found: Localization, frame: FrameInputs[torch.Tensor], settings: FrameSettings
) -> torch.Tensor:
    """The decisions with a box stage: its boxes, or the last ones where a target was not found.

    Args:
        selected: The boxes in pixels of the search areas.
        found: Result of `localize`.
        frame: What the host has decided.
        settings: What shapes the computation.

    Returns:
        (T, 11) packed, see `FrameDecision`.
    """
    sample_position = select_scale(frame.sample_positions, found.scale_index)  # (T, 2)
    sample_scale = select_scale(frame.sample_scales, found.scale_index)[:, None]
    middle = (settings.image_sample_size - 1) / 2
    position = _new_position(found, frame, frame.size)
    refined = (selected.box[:, :2] + selected.box[:, 2:] / 2).flip(1)
    refined_position = (refined - middle) * sample_scale + sample_position
    refined_size = selected.box[:, 2:].flip(1) * sample_scale
    refined_scale = torch.sqrt(refined_size.prod(dim=1) / frame.base_size.prod(dim=1))[:, None]

    lost = (found.state == State.NOT_FOUND)[:, None]
    sensible = selected.any_left & torch.isfinite(selected.box).all(dim=1)
    use = ~lost & sensible[:, None]
    keep_scale = ~use
    if not settings.update_scale_when_uncertain:
        keep_scale = keep_scale | (found.state == State.UNCERTAIN)[:, None]
    classified = torch.where(lost, frame.position, position)
    final_position = torch.where(use, refined_position, classified)
    return pack_decision(
        found,
        final_position,
        torch.where(use, refined_size, frame.size),
        torch.where(keep_scale, frame.scale, refined_scale),
        final_position if settings.use_iounet_pos_for_learning else classified,
    )
