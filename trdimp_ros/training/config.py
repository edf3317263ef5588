"""What is trained, on what, and how long: typed, each default with its reason."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CompositionConfig:
    """What synthetic samples look like.

    Attributes:
        side: Of the search area in pixels, a multiple of 16.
        search_area_scale: Its side divided by sqrt(w*h) of the target, on average.
        center_jitter: Most that the target lies off the middle of a test frame, as a share of the side.
        scale_jitter: Standard deviation of the log of the target's size in test frames.
        real_share: Share of samples that are frames of real clips.
        absent_share: Share of test frames without the target: without them the confidence would mean nothing.
        occluded_share: Share of test frames with something before the target.
        distractors: Other objects in a picture, at most.
        distractor_share: Probability of each of them.
        same_object_share: Probability that one is the target's own picture in other colours and another pose.
        elasticity: Most that a texture bends between frames, in halves of its side (standard deviation).
        aspect_change: Most that its aspect changes between frames, in logs (standard deviation).
        rotation: Most that it turns between frames, radians (standard deviation).
        light_change: Most that light and colour change between frames.
        grey_share: Share of samples without colour.
        degraded_share: Share of frames with each of: blur, low resolution, noise, compression.
    """

    side: int = 256
    search_area_scale: float = 5.0
    center_jitter: float = 0.3
    scale_jitter: float = 0.25
    real_share: float = 0.15
    absent_share: float = 0.15
    occluded_share: float = 0.3
    distractors: int = 2
    distractor_share: float = 0.5
    same_object_share: float = 0.1
    elasticity: float = 0.05
    aspect_change: float = 0.2
    rotation: float = 0.3
    light_change: float = 0.6
    grey_share: float = 0.1
    degraded_share: float = 0.25

    def __post_init__(self) -> None:
        if self.side < 64 or self.side % 16:
            raise ValueError(f"side must be a multiple of 16 and at least 64, got {self.side}")
        if self.search_area_scale <= 1:
            raise ValueError(f"search_area_scale must exceed 1, got {self.search_area_scale}")
        if not 0 <= self.center_jitter < 0.5:
            raise ValueError(f"center_jitter must be from 0 to 0.5, got {self.center_jitter}")
        for name in (
            "real_share",
            "absent_share",
            "occluded_share",
            "distractor_share",
            "grey_share",
            "degraded_share",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class TrainingConfig:
    """A training run.

    Attributes:
        steps: Optimiser steps in all; the learning rate falls to zero over them.
        batch: Targets in a step, on all processes together.
        templates: Template frames of a sample (the paper's three).
        tests: Test frames of a sample.
        iterations: Steps of the target filter's optimiser; every iterate has a loss.
        proposals: Boxes scored per test frame.
        label_width: Standard deviation of the wanted scores in feature cells. The paper's 1/24 of the map is 0.9 of 22
            cells; with fewer cells the same share would be too narrow to learn.
        box_weight: Weight of the box loss. The paper's 0.01 is for a backbone that was trained before.
        contrast_weight: Weight of the contrastive loss, which gives a backbone without pretraining its features.
        learning_rate: Highest, of AdamW.
        filter_learning_rate: Of the filter optimiser's own few parameters, which are sensitive.
        weight_decay: Of matrices and convolutions, not of biases and norms.
        warm_up: Share of the steps in which the learning rate rises.
        gradient_limit: Norm to which gradients are clipped.
        average: Decay of the running average of the weights, which is what is kept in the end.
        seed: Of weights and samples.
        composition: What the samples look like.
    """

    steps: int = 20000
    batch: int = 32
    templates: int = 3
    tests: int = 2
    iterations: int = 5
    proposals: int = 64
    label_width: float = 0.9
    box_weight: float = 0.1
    contrast_weight: float = 0.5
    learning_rate: float = 1e-3
    filter_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 0.03
    gradient_limit: float = 5.0
    average: float = 0.998
    seed: int = 0
    composition: CompositionConfig = field(default_factory=CompositionConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "templates", "tests", "proposals"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.iterations < 2:
            raise ValueError(f"iterations must be at least 2 (each part of the loss needs one), got {self.iterations}")
        for name in ("learning_rate", "filter_learning_rate", "gradient_limit", "label_width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.average < 1 or not 0 <= self.warm_up < 1:
            raise ValueError(f"average and warm_up must be from 0 to 1, got {self.average} and {self.warm_up}")

    def to_json(self) -> str:
        """The configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
