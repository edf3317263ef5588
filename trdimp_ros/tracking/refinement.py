"""Moving candidate boxes uphill on the IoU predictor's score (ATOM, section 3.3; DiMP, appendix), on the device."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

from trdimp_ros.models.integral_maps import IntegralMaps
from trdimp_ros.tracking.frame_settings import FrameSettings


class Scorer(Protocol):
    """What the refinement needs of a `BoxScorer`."""

    def score_and_gradient(self, maps: IntegralMaps, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...


def start_boxes(
    box: torch.Tensor, uniform: torch.Tensor, jitter_position: torch.Tensor, jitter_size: torch.Tensor
) -> torch.Tensor:
    """Each target's box itself and jittered copies.

    Args:
        box: (T, 4) x, y, w, h.
        uniform: (T, R, 4) random numbers from 0 to 1.
        jitter_position: () width of the shift in units of sqrt(w*h).
        jitter_size: () width of the change of size.

    Returns:
        (T, 1 + R, 4).
    """
    corner, size = box[:, None, :2], box[:, None, 2:]
    side = size.prod(dim=-1, keepdim=True).sqrt()
    noise = (uniform - 0.5) * side
    new_size = torch.maximum(size + noise[..., 2:] * jitter_size, size.amin(dim=-1, keepdim=True) / 3)
    center = corner + size / 2 + noise[..., :2] * jitter_position
    return torch.cat([box[:, None], torch.cat([center - new_size / 2, new_size], dim=-1)], dim=1)


def to_relative(boxes: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Boxes (..., 4) x, y, w, h -> centre / unit, log size. ``unit``: (..., 2) width and height."""
    return torch.cat([(boxes[..., :2] + 0.5 * boxes[..., 2:]) / unit, boxes[..., 2:].log()], dim=-1)


def from_relative(relative: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Inverse of `to_relative`."""
    size = relative[..., 2:].exp()
    return torch.cat([relative[..., :2] * unit - 0.5 * size, size], dim=-1)


def ascend(
    scorer: Scorer,
    maps: IntegralMaps,
    boxes: torch.Tensor,
    settings: FrameSettings,
    step: torch.Tensor,
    decay: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient ascent on the score.

    Args:
        scorer: Scores boxes on the maps.
        maps: The features of each target's search area, from `BoxScorer.prepare`.
        boxes: (T, R, 4) x, y, w, h in pixels of the network input.
        settings: Give the number of steps and the space of the refinement.
        step: (4,) step length of each coordinate.
        decay: () factor on it after each step.

    Returns:
        The boxes (T, R, 4) after the last step and the scores (T, R) before it. With no steps the boxes as they are.
    """
    if settings.box_refinement_iter == 0:
        return boxes, scorer.score_and_gradient(maps, boxes)[0]
    relative_space = settings.box_refinement_space == "relative"
    unit = boxes[:, :1, 2:]
    relative = to_relative(boxes, unit)
    for _ in range(settings.box_refinement_iter):
        if relative_space:
            boxes = from_relative(relative, unit)
        score, gradient = scorer.score_and_gradient(maps, boxes)
        by_corner, by_size = gradient[..., :2], gradient[..., 2:]
        size = boxes[..., 2:]
        if relative_space:
            # The centre moves the corner; a larger size also moves the corner back by half of itself.
            gradient = torch.cat([by_corner * unit, size * (by_size - 0.5 * by_corner)], dim=-1)
            relative = relative + step * gradient
        else:
            boxes = boxes + step * gradient * torch.cat([size, size], dim=-1)
        step = step * decay
    return from_relative(relative, unit) if relative_space else boxes, score


def sensible_shape(boxes: torch.Tensor, max_aspect_ratio: torch.Tensor) -> torch.Tensor:
    """Whether boxes (..., 4) are not of extreme shape: (...) bool."""
    aspect = boxes[..., 2] / boxes[..., 3]
    return (aspect < max_aspect_ratio) & (aspect > 1.0 / max_aspect_ratio)


class Selection(NamedTuple):
    """Result of `select_box`.

    Attributes:
        box: (T, 4) mean of the best boxes.
        any_left: (T,) bool, whether there was a box of sensible shape; otherwise ``box`` means nothing.
    """

    box: torch.Tensor
    any_left: torch.Tensor


def select_box(boxes: torch.Tensor, scores: torch.Tensor, best: int, max_aspect_ratio: torch.Tensor) -> Selection:
    """The mean of each target's best-scored boxes, sizes at least 1, without those of extreme shape.

    Args:
        boxes: The boxes (T, R, 4) x, y, w, h.
        scores: Their scores (T, R).
        best: The number of boxes to average, at most.
        max_aspect_ratio: () limit of w/h and of h/w.
    """
    boxes = torch.cat([boxes[..., :2], boxes[..., 2:].clamp_min(1.0)], dim=-1)
    keep = sensible_shape(boxes, max_aspect_ratio)
    ranked = torch.where(keep, scores, torch.full_like(scores, -torch.inf))
    top = ranked.topk(min(best, boxes.shape[1]), dim=1).indices  # (T, best)
    weight = keep.gather(1, top).to(boxes.dtype)[..., None]
    top_boxes = boxes.gather(1, top[..., None].expand(-1, -1, 4))
    chosen = torch.where(weight > 0, top_boxes, torch.zeros_like(weight))
    return Selection(chosen.sum(dim=1) / weight.sum(dim=1).clamp_min(1.0), keep.any(dim=1))
