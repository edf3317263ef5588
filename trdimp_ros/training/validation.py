"""How well a network tracks, on synthetic clips of images that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from trdimp_ros.evaluation.metrics import separation, success_auc
from trdimp_ros.models import TrDiMPNet
from trdimp_ros.tracking import Box, State, Tracker, TrackerConfig
from trdimp_ros.tracking.engines import choose_engine
from trdimp_ros.tracking.geometry import intersection_over_union
from trdimp_ros.training.clips import Clip, synthetic_clip
from trdimp_ros.training.image_bank import ImageBank

VISIBLE = 0.4
"""A target of which more is to be seen should be found."""

FIRST_SEED = 1000


class FrameRecord(NamedTuple):
    """What the tracker said of one frame.

    Attributes:
        overlap: Overlap of box and true box.
        confidence: Maximum of the score map.
        visible: Share of the target to be seen.
        state: What the tracker made of it.
    """

    overlap: float
    confidence: float
    visible: float
    state: State


@dataclass(frozen=True)
class Validation:
    """Result of `validate`.

    Attributes:
        success: AUC over the frames in which the target is to be seen.
        separation: Probability that a frame with the target, well placed, has a higher confidence than one without.
        falsely_lost: Share of the frames with the target in which it was reported as not found.
        absent_noticed: Share of the frames without it in which the state was not normal.
        records: What the tracker said of all frames.
    """

    success: float
    separation: float
    falsely_lost: float
    absent_noticed: float
    records: list[FrameRecord]


def validation_clips(bank: ImageBank, count: int, frames: int = 48) -> list[Clip]:
    """Clips with smooth motion; in every other one the target leaves for a while."""
    return [synthetic_clip(bank, FIRST_SEED + number, frames, leaves=number % 2 == 1) for number in range(count)]


def validate(network: TrDiMPNet, config: TrackerConfig, clips: list[Clip], device: torch.device) -> Validation:
    """Track every clip and compare with the truth.

    Args:
        network: The network, in any mode; it is not changed.
        config: Parameters of the tracker.
        clips: Clips from `validation_clips`.
        device: Device to track on.
    """
    records = [record for clip in clips for record in _track(network, config, clip, device)]
    present = [record for record in records if record.visible > VISIBLE]
    absent = [record for record in records if record.visible == 0]
    placed = [record.confidence for record in present if record.overlap > 0.5]
    doubted = (State.NOT_FOUND, State.UNCERTAIN)
    return Validation(
        success=success_auc([record.overlap for record in present]),
        separation=separation(placed, [record.confidence for record in absent]),
        falsely_lost=float(np.mean([record.state == State.NOT_FOUND for record in present])),
        absent_noticed=float(np.mean([record.state in doubted for record in absent])) if absent else float("nan"),
        records=records,
    )


def _track(network: TrDiMPNet, config: TrackerConfig, clip: Clip, device: torch.device) -> list[FrameRecord]:
    tracker = Tracker(network, config, device, graphs=False, engine=choose_engine("auto", device))
    tracker.initialize(clip.frames[0], [float(value) for value in clip.boxes[0]])
    records = []
    for frame, box, visible in zip(clip.frames[1:], clip.boxes[1:], clip.visible[1:], strict=True):
        result = tracker.track(frame)
        truth = Box(*(float(value) for value in box))
        overlap = intersection_over_union(result.box, truth)
        records.append(FrameRecord(overlap, result.confidence, float(visible), result.state))
    return records
