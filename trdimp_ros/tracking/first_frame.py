"""Learning the target from the first frame: views, features, memories, filter and box reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.models.target_filter import SampleMaps, score_size
from trdimp_ros.tracking.augmentation import Blur, FlipHorizontal, Rotation, Shift, Translation, View
from trdimp_ros.tracking.box_stage import BoxStage, Reference
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import sample_patch
from trdimp_ros.tracking.geometry import Pair, sample_box
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.template_memory import TemplateMemory, encoded_memory

VIEWS_AT_ONCE = 4
"""Views of the first frame in one pass: all of them would need many times the memory of a tracked frame."""


@dataclass(frozen=True)
class FirstFrame:
    """The first frame as the network sees it.

    Attributes:
        patches: (V, 3, S, S) float32, 0..255: the views.
        boxes: (V, 4) float32 target boxes x, y, w, h in them.
        unrotated: Number of views, from the first, in which the box fits exactly.
    """

    patches: torch.Tensor
    boxes: torch.Tensor
    unrotated: int


def look_at_first_frame(
    image: NDArray[np.uint8], position: Pair, size: Pair, scale: float, config: TrackerConfig, random: RandomSource
) -> FirstFrame:
    """Crop the target once, enlarged, and make all views of it.

    Args:
        image: (H, W, 3) uint8 RGB.
        position: The target's position (row, column).
        size: Height and width of the target.
        scale: Image pixels per pixel of the network input.
        config: The augmentations.
        random: Source of the random shifts.
    """
    sample = config.image_sample_size
    scale, inward = _inward_shift(position, scale, image.shape[:2], config)
    views = _views(config, inward, random)
    sample_position = np.rint(position)
    expanded = int(sample * config.augmentation_expansion_factor)
    expanded += (expanded - sample) % 2
    crop_size = np.full(2, np.float32(scale) * np.float32(expanded), np.float32)
    crop, _ = sample_patch(image, sample_position, crop_size, (expanded, expanded))
    crop = crop.contiguous()
    box = torch.from_numpy(sample_box(position, size, sample_position, scale, sample))
    moved = torch.tensor([[view.shift[1], view.shift[0], 0, 0] for view in views], dtype=torch.float32)
    return FirstFrame(
        patches=torch.cat([view(crop) for view in views]),
        boxes=box + moved,
        unrotated=sum(not view.rotated for view in views),
    )


def _inward_shift(
    position: Pair, scale: float, image_size: tuple[int, ...], config: TrackerConfig
) -> tuple[float, Pair]:
    """With border_mode ``inside``: the scale of a search area that fits the image, and how far to move it, in pixels of
    the network input. Otherwise the scale as it is and no shift."""
    if config.border_mode != "inside":
        return scale, np.zeros(2, np.float32)
    image = np.asarray(image_size[:2], np.float32)
    wanted = np.full(2, np.float32(scale) * np.float32(config.image_sample_size), np.float32)
    shrink = np.clip((wanted / image).max(), 1, config.patch_max_scale_change)
    wanted = wanted / np.float32(shrink)
    scale = float(wanted[0]) / config.image_sample_size
    low = position - (wanted - 1) / 2
    high = position + wanted / 2 + 1
    overhang = np.maximum(-low, 0) - np.maximum(high - image, 0)
    return scale, (-overhang / np.float32(scale)).astype(np.float32)


def _views(config: TrackerConfig, inward: Pair, random: RandomSource) -> list[View]:
    sample = config.image_sample_size
    size = (sample, sample)
    base = _whole(inward)

    def random_shift() -> Shift:
        if config.random_shift_factor == 0:
            return 0, 0
        return _whole((random.shift() - np.float32(0.5)) * np.float32(sample) * config.random_shift_factor + inward)

    views: list[View] = [Translation(size, base)]
    for relative in config.augmentation_shifts:
        row, column = _whole(np.asarray(relative, np.float32) * np.float32(sample) / 2)
        views.append(Translation(size, (row + base[0], column + base[1])))
    if config.augmentation_flip:
        views.append(FlipHorizontal(size, random_shift()))
    views += [Blur(deviations, size, random_shift()) for deviations in config.augmentation_blurs]
    views += [Rotation(angle, size, random_shift()) for angle in config.augmentation_rotations]
    return views


def _whole(shift: NDArray[np.floating]) -> Shift:
    """Truncated toward zero."""
    return int(shift[0]), int(shift[1])


class ViewFeatures(NamedTuple):
    """What the network computes of the first frame's views.

    Attributes:
        features: (N, h, w, C) classification features of the views and of the copies with dropped channels.
        masks: (N, h, w) Gaussian masks of the target in them.
        boxes: (N, 4) boxes of the target in them.
        box_reference: What the box stage keeps of the target; None without box stage.
    """

    features: torch.Tensor
    masks: torch.Tensor
    boxes: torch.Tensor
    box_reference: Reference | None


@dataclass(frozen=True)
class LearnedTarget:
    """All that a tracker knows of a target after the first frame.

    Attributes:
        templates: A template memory that holds the first frame's views and has room for no more.
        decoded: (N, h, w, C) float32 decoded features for the filter memory.
        maps: Their maps, each (N, H', W').
        filters: The target filter (1, C, K, K).
        box_reference: What the box stage keeps of the target; None without box stage.
    """

    templates: TemplateMemory
    decoded: torch.Tensor
    maps: SampleMaps
    filters: torch.Tensor
    box_reference: Reference | None


def learn_target(
    network: InferenceNetwork,
    frame: FirstFrame,
    config: TrackerConfig,
    random: RandomSource,
    box_stage: BoxStage | None,
) -> LearnedTarget:
    """Learn a target from the views of the first frame. Nothing that is known of other targets is touched.

    Args:
        network: The network prepared for inference.
        frame: The views, from `look_at_first_frame`.
        config: The number of optimiser steps, the dropout, and which views the box reference uses.
        random: Source of the dropout.
        box_stage: What learns the box's reference; None: sizes only follow the scales.
    """
    views = view_features(network, frame, config, random, box_stage)
    tokens = views.features.flatten(1, 2)  # (N, L, C)
    count = len(tokens)
    room = encoded_memory(1, count, tokens.shape[1], network.transformer, network.device, network.dtype)
    templates = TemplateMemory(network.transformer, room, count)
    templates.reset(tokens, views.masks.flatten(1))
    # One by one: the attention weights of all views together would take much memory.
    decoded = torch.cat([network.transformer.decode(one[None], templates.encoded) for one in tokens])
    decoded = decoded.view(views.features.shape).float()
    filters, maps = first_filter(network, decoded, views.boxes, config.net_opt_iter)
    return LearnedTarget(templates, decoded, maps, filters, views.box_reference)


def view_features(
    network: InferenceNetwork,
    frame: FirstFrame,
    config: TrackerConfig,
    random: RandomSource,
    box_stage: BoxStage | None,
) -> ViewFeatures:
    """Pass all views through the network; the arguments are those of `learn_target`."""
    boxes = frame.boxes.to(network.device)
    features, box_references = [], []
    references = frame.unrotated if config.iounet_augmentation else 1
    for first in range(0, len(frame.patches), VIEWS_AT_ONCE):
        patches = frame.patches[first : first + VIEWS_AT_ONCE].to(network.device)
        fine, coarse = network.engine.backbone(patches)
        features.append(network.engine.classification_feature(coarse))
        count = min(max(references - first, 0), len(patches))
        if box_stage is not None and count:
            unrotated = boxes[first : first + count]
            box_references.append(box_stage.reference(fine[:count], coarse[:count], unrotated))
    x = torch.cat(features)
    dropped = config.augmentation_dropout_samples
    if dropped:
        keep = random.kept_channels(dropped, x.shape[-1], config.augmentation_dropout).to(x)
        x = torch.cat([x, x[:1] * keep[:, None, None, :] / (1 - config.augmentation_dropout)])
        boxes = torch.cat([boxes, boxes[:1].expand(dropped, 4)])
    sample = config.image_sample_size
    masks = gaussian_label(boxes, (x.shape[1], x.shape[2]), (sample, sample), network.config.filter_size)
    box_reference = None
    if box_references:
        box_reference = tuple(torch.cat(tensors).mean(dim=0) for tensors in zip(*box_references, strict=True))
    return ViewFeatures(x, masks, boxes, box_reference)


def first_filter(
    network: InferenceNetwork, decoded: torch.Tensor, boxes: torch.Tensor, iterations: int
) -> tuple[torch.Tensor, SampleMaps]:
    """The target filter after the first frame, and the maps of its samples for the filter memory.

    Args:
        network: The network prepared for inference.
        decoded: (N, h, w, C) float32 decoded features.
        boxes: (N, 4) boxes of the target in the views, pixels of the network input.
        iterations: The number of optimiser steps.

    Returns:
        The filter (1, C, K, K), and maps (N, H', W').
    """
    features = decoded[:, None]
    initial = network.filter_initializer(features, boxes[:, None])
    size = score_size((decoded.shape[1], decoded.shape[2]), network.config.filter_size)
    maps = network.filter_optimizer.sample_maps(boxes[:, None], size)
    filters = network.filter_optimizer(initial, features, maps, iterations)[-1]
    return filters, SampleMaps(*(values[:, 0] for values in maps))
