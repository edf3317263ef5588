"""What is trained, on what, and how long: typed, each default with its reason.

A new option is one more field with `parameter`; ``trdimp train --set`` knows it by its name.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from trdimp_ros.parameters import check_parameters, parameter, section


@dataclass(frozen=True)
class CompositionConfig:
    """What synthetic samples look like."""

    side: int = parameter(256, "Side of the search area in pixels, a multiple of 16.", 64, 1024)
    search_area_scale: float = parameter(
        5.0, "Side of the search area divided by sqrt(w*h) of the target, on average.", maximum=16.0, above=1.0
    )
    center_jitter: float = parameter(
        0.3, "Most that the target lies off the middle of a test frame, as a share of the side.", 0.0, 0.49
    )
    scale_jitter: float = parameter(
        0.25, "Standard deviation of the log of the target's size in test frames.", 0.0, 2.0
    )
    real_share: float = parameter(
        0.6, "Share of samples that are real targets in their own surroundings; the others are pasted.", 0.0, 1.0
    )
    real_change: float = parameter(
        0.4, "How much real views are turned and stretched, as a share of what is done to cut-outs.", 0.0, 2.0
    )
    absent_share: float = parameter(
        0.15,
        "Share of test frames without the target: without them the confidence would mean nothing.",
        0.0,
        1.0,
    )
    occluded_share: float = parameter(0.4, "Share of test frames with something before the target.", 0.0, 1.0)
    post_share: float = parameter(
        0.4, "Share of occluders that are long and straight, like posts and walls; the others are objects.", 0.0, 1.0
    )
    distractors: int = parameter(2, "Most other objects in a picture.", 0, 16)
    distractor_share: float = parameter(0.5, "Probability that each of the other objects is there.", 0.0, 1.0)
    look_alike_share: float = parameter(
        0.3,
        "Probability that one other object has the target's outline and a part of its texture: without such "
        "negatives the tracker takes a look-alike for a target that has left.",
        0.0,
        1.0,
    )
    elasticity: float = parameter(
        0.05,
        "Most that a texture bends between frames, in halves of its side (standard deviation).",
        0.0,
        1.0,
    )
    aspect_change: float = parameter(
        0.2, "Most that the target's aspect changes between frames, in logs (standard deviation).", 0.0, 2.0
    )
    rotation: float = parameter(
        0.3, "Most that the target turns between frames, radians (standard deviation).", 0.0, 3.2
    )
    light_change: float = parameter(0.6, "Most that light and colour change between frames.", 0.0, 4.0)
    grey_share: float = parameter(0.1, "Share of samples without colour.", 0.0, 1.0)
    degraded_share: float = parameter(
        0.25, "Share of frames with each of: blur, low resolution, noise, compression.", 0.0, 1.0
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.side % 16:
            raise ValueError(f"side must be a multiple of 16, got {self.side}")


@dataclass(frozen=True)
class TrainingConfig:
    """A training run."""

    steps: int = parameter(20000, "Optimiser steps in all; the learning rate is zero after the last.", 1, 10**8)
    batch: int = parameter(32, "Targets in a step, on all processes together.", 1, 65536)
    templates: int = parameter(
        2,
        "Template frames in a turn. The paper's three cost half as much again.",
        1,
        16,
    )
    turns: int = parameter(
        2,
        "Every sample has one more frame than templates and tests, and in each turn another one is a test as well: "
        "what a pass through the backbone costs serves so many times. At most one more than there are templates.",
        1,
        17,
    )
    tests: int = parameter(1, "Further test frames of a sample, in which the target may be hidden or absent.", 1, 16)
    iterations: int = parameter(
        5,
        "Steps of the target filter's optimiser; every iterate has a loss, and each part of the loss needs one.",
        2,
        100,
    )
    proposals: int = parameter(24, "Boxes scored per test frame.", 1, 4096)
    label_width: float = parameter(
        0.9,
        "Standard deviation of the wanted scores in feature cells. The paper's 1/24 of the map is 0.9 of 22 cells; "
        "with fewer cells the same share would be too narrow to learn.",
        maximum=32.0,
        above=0.0,
    )
    box_weight: float = parameter(
        0.1,
        "Weight of the IoU predictor's loss; 0: it is not trained. The paper's 0.01 is for a backbone that was trained "
        "before.",
        0.0,
        1000.0,
    )
    direct_weight: float = parameter(1.0, "Weight of the losses of the direct box head.", 0.0, 1000.0)
    contrast_weight: float = parameter(
        0.5, "Weight of the contrastive loss, which gives a backbone without pretraining its features.", 0.0, 1000.0
    )
    appearance_weight: float = parameter(1.0, "Weight of the losses of the appearance head.", 0.0, 1000.0)
    only_appearance: bool = parameter(
        False,
        "Train the appearance head alone: with a frozen backbone it shares nothing with the others, and a step takes a "
        "third of the time.",
    )
    learning_rate: float = parameter(1e-3, "Highest learning rate of AdamW.", maximum=10.0, above=0.0)
    filter_learning_rate: float = parameter(
        2e-3,
        "Highest learning rate of the filter optimiser's own few parameters, which are sensitive.",
        maximum=10.0,
        above=0.0,
    )
    pretrained: bool = parameter(
        True, "Start from published weights of the backbone, where there are any (package in the extra 'train')."
    )
    backbone_rate: float = parameter(
        0.0,
        "Learning rate of the late stages of a backbone that was trained before, as a share of the others'; 0: it is "
        "frozen, and costs no backward pass. Other backbones learn as all the rest.",
        0.0,
        1.0,
    )
    weight_decay: float = parameter(
        0.02, "Weight decay of matrices and convolutions; biases and norms have none.", 0.0, 10.0
    )
    warm_up: float = parameter(0.03, "Share of the steps in which the learning rate rises.", 0.0, 0.99)
    cool_down: float = parameter(
        1.0,
        "Share of the steps, at the end, in which the learning rate falls as half a cosine; before, it is constant. "
        "A run with a long constant part can be ended at any time, by a short one that starts from it.",
        0.0,
        1.0,
    )
    gradient_limit: float = parameter(5.0, "Norm to which gradients are clipped.", maximum=1e6, above=0.0)
    average: float = parameter(
        0.998,
        "Decay of the running average of the weights, which is what is kept in the end.",
        0.0,
        0.999999,
    )
    seed: int = parameter(0, "Seed of weights and samples.", 0, 2**62)
    composition: CompositionConfig = section(CompositionConfig)

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.turns > self.templates + 1:
            raise ValueError(f"turns must be at most {self.templates + 1}, one more than templates, got {self.turns}")

    def to_json(self) -> str:
        """The configuration as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
