"""From score maps to a decision: where the target is and whether to believe it.

Everything stays on the device and no step depends on the host, so a whole frame can be one CUDA graph. A decision is
the number of the first rule that applies.
"""

from __future__ import annotations

import functools
from enum import IntEnum
from typing import NamedTuple, Protocol

import torch

from trdimp_ros.models.constants import constant
from trdimp_ros.tracking.frame_settings import FrameSettings


class State(IntEnum):
    """What a frame says of the target.

    ``HARD_NEGATIVE``: found, with a distractor in sight, which is learned from.
    """

    NOT_FOUND = 0
    UNCERTAIN = 1
    HARD_NEGATIVE = 2
    NORMAL = 3


class Rule(IntEnum):
    """The rules of localisation, in the order in which they are tried."""

    NOT_FOUND = 0
    UNCERTAIN_SCORE = 1
    HARD_SAMPLE_SCORE = 2
    DISTRACTOR_FAR = 3
    """A strong second peak, far from the last position, while the first is near."""
    TARGET_IS_SECOND_PEAK = 4
    """The first peak is far from the last position, the strong second one near."""
    BOTH_FAR = 5
    BOTH_NEAR = 6
    WEAK_DISTRACTOR = 7
    NORMAL = 8


STATE_OF_RULE = {
    Rule.NOT_FOUND: State.NOT_FOUND,
    Rule.UNCERTAIN_SCORE: State.UNCERTAIN,
    Rule.HARD_SAMPLE_SCORE: State.HARD_NEGATIVE,
    Rule.DISTRACTOR_FAR: State.HARD_NEGATIVE,
    Rule.TARGET_IS_SECOND_PEAK: State.HARD_NEGATIVE,
    Rule.BOTH_FAR: State.UNCERTAIN,
    Rule.BOTH_NEAR: State.UNCERTAIN,
    Rule.WEAK_DISTRACTOR: State.HARD_NEGATIVE,
    Rule.NORMAL: State.NORMAL,
}

_STATES = tuple(int(STATE_OF_RULE[rule]) for rule in Rule)


class Thresholds(NamedTuple):
    """The parameters of localisation as scalars on the device, so that they can change without a new graph.

    The names are those of `TrackerConfig`.
    """

    target_not_found_threshold: torch.Tensor
    uncertain_threshold: torch.Tensor
    hard_sample_threshold: torch.Tensor
    distractor_threshold: torch.Tensor
    hard_negative_threshold: torch.Tensor
    target_neighborhood_scale: torch.Tensor
    displacement_scale: torch.Tensor


class SearchedPlaces(Protocol):
    """Where T targets were in the last frame, and their search areas at N scales.

    Attributes:
        sample_positions: (T, N, 2) centres of the search areas, row and column in the image.
        sample_scales: (T, N) image pixels per pixel of the network input.
        position: (T, 2) last positions of the targets in the image.
        size: (T, 2) their heights and widths in the image.
    """

    @property
    def sample_positions(self) -> torch.Tensor: ...
    @property
    def sample_scales(self) -> torch.Tensor: ...
    @property
    def position(self) -> torch.Tensor: ...
    @property
    def size(self) -> torch.Tensor: ...


class Localization(NamedTuple):
    """The decisions on one frame; tensors on the device.

    Attributes:
        rule: (T,) int64, a `Rule` for each of T targets.
        state: (T,) int64, a `State`.
        scale_index: (T,) int64, which of the scales won.
        displacement: (T, 2) float32 row and column of the chosen peak from the centre of the search area, image pixels.
        score_map: (T, H, W) of the winning scale, without window.
        confidence: (T,) its maximum.
    """

    rule: torch.Tensor
    state: torch.Tensor
    scale_index: torch.Tensor
    displacement: torch.Tensor
    score_map: torch.Tensor
    confidence: torch.Tensor


@functools.cache
def hann_window(size: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Product of two Hann windows (rows, columns) without the zeros at the ends; made once, never to be written to."""
    with torch.inference_mode(False):
        profiles = [
            0.5 * (1 - torch.cos(2 * torch.pi * torch.arange(1, n + 1, device=device, dtype=torch.float32) / (n + 1)))
            for n in size
        ]
        return profiles[0][:, None] * profiles[1][None, :]


def find_peak(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Highest score of each map and where it is; of equal ones the leftmost, then the topmost.

    Args:
        scores: (..., H, W).

    Returns:
        (...) values and (..., 2) float32 row and column.
    """
    height = scores.shape[-2]
    columnwise = scores.transpose(-1, -2).flatten(-2)  # (..., W * H)
    value = columnwise.amax(dim=-1)
    order = torch.arange(columnwise.shape[-1], device=scores.device)
    # argmax may return any of several equal ones, on a GPU in particular
    first = torch.where(columnwise == value[..., None], order, columnwise.shape[-1]).amin(dim=-1)
    return value, torch.stack([first % height, first // height], dim=-1).float()


def select_scale(values: torch.Tensor, scale_index: torch.Tensor) -> torch.Tensor:
    """Select the values of one scale for each target.

    Args:
        values: (T, N, ...) for T targets at N scales.
        scale_index: (T,) int64, the scale selected.

    Returns:
        (T, ...).
    """
    if values.shape[1] == 1:
        return values[:, 0]
    return values[torch.arange(len(values), device=values.device), scale_index]


def localize(
    scores: torch.Tensor, search: SearchedPlaces, thresholds: Thresholds, settings: FrameSettings
) -> Localization:
    """Choose a peak for each target and judge it.

    Args:
        scores: (T, N, H, W) score maps of N scales for each of T targets.
        search: Where the targets were, and where they were searched.
        thresholds: The parameters that are numbers.
        settings: ``advanced_localization`` false always returns the first peak as `Rule.NORMAL`; ``windowed`` weights
            the scores for choosing, not for judging, the first peak.
    """
    height, width = (int(length) for length in scores.shape[2:])  # constants in a trace
    sample_size, extra = settings.image_sample_size, (settings.filter_size + 1) % 2
    sample_scales, position, target_size = search.sample_scales, search.position, search.size
    cell = constant((sample_size / (height - extra), sample_size / (width - extra)), scores.device)
    center = constant(((height - 1) / 2, (width - 1) / 2), scores.device)

    values, peaks = find_peak(scores * hann_window((height, width), scores.device) if settings.windowed else scores)
    scale_index = values.argmax(dim=1)
    score1, peak1 = select_scale(values, scale_index), select_scale(peaks, scale_index)
    scale = select_scale(sample_scales, scale_index)[:, None]  # (T, 1)
    score_map = select_scale(scores, scale_index)
    confidence = score_map.amax(dim=(1, 2))
    from_center1 = peak1 - center
    displacement1 = from_center1 * cell * scale
    if not settings.advanced_localization:
        normal = torch.full_like(scale_index, Rule.NORMAL)
        return Localization(
            normal, torch.full_like(normal, State.NORMAL), scale_index, displacement1, score_map, confidence
        )

    rest = without_neighborhood(score_map, peak1, thresholds.target_neighborhood_scale * (target_size / scale) / cell)
    score2, peak2 = find_peak(rest)
    from_center2 = peak2 - center
    displacement2 = from_center2 * cell * scale

    previous = (position - select_scale(search.sample_positions, scale_index)) / (cell * scale)
    distance1 = (from_center1 - previous).square().sum(dim=1).sqrt()
    distance2 = (from_center2 - previous).square().sum(dim=1).sqrt()
    limit = thresholds.displacement_scale * ((height * width) ** 0.5 / 2)
    doubtful = score2 > thresholds.distractor_threshold * score1
    weak = (score2 > thresholds.hard_negative_threshold * score1) & (score2 > thresholds.target_not_found_threshold)
    uncertain, hard = thresholds.uncertain_threshold, thresholds.hard_sample_threshold
    applies = torch.stack(
        [
            score1 < thresholds.target_not_found_threshold,
            (uncertain > 0) & (score1 < uncertain),
            (hard > 0) & (score1 < hard),
            doubtful & (distance2 > limit) & (distance1 < limit),
            doubtful & (distance2 < limit) & (distance1 > limit),
            doubtful & (distance2 > limit) & (distance1 > limit),
            doubtful,
            weak,
            torch.ones_like(doubtful),
        ]
    )
    order = torch.arange(len(Rule), device=scores.device)[:, None]
    rule = torch.where(applies, order, len(Rule)).amin(dim=0)
    state = constant(_STATES, scores.device, torch.int64).index_select(0, rule)
    second = (rule == Rule.TARGET_IS_SECOND_PEAK)[:, None]
    displacement = torch.where(second, displacement2, displacement1)
    return Localization(rule, state, scale_index, displacement, score_map, confidence)


def without_neighborhood(score_map: torch.Tensor, peak: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Score maps (T, H, W) with zeros in the boxes of these sizes (T, 2), in cells, round the peaks (T, 2)."""
    middle, half = peak.double(), size.double() / 2
    low, high = (middle - half).round(), (middle + half + 1).round()
    inside = []
    for axis, length in enumerate(score_map.shape[1:]):
        lines = torch.arange(length, device=score_map.device)
        inside.append((lines >= low[:, axis, None]) & (lines < high[:, axis, None]))  # (T, length)
    return score_map.masked_fill(inside[0][:, :, None] & inside[1][:, None, :], 0.0)
