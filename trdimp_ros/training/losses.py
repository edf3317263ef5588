"""The losses of training: the classifier's hinge (DiMP, section 3.4) and the box regression (PrDiMP, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

from trdimp_ros.models.direct_box_head import cell_centers, decode_boxes
from trdimp_ros.training.forward_pass import TrainingOutput
from trdimp_ros.training.proposals import Proposals

CONTRAST_TEMPERATURE = 0.07
TARGET_CORE, TARGET_RIM = 0.5, 0.02
"""Of a Gaussian at the target's centre: what is certainly the target, and what is certainly not below."""

HINGE_THRESHOLD = 0.05
"""A label below this counts as background."""


def hinge_loss(scores: torch.Tensor, label: torch.Tensor, threshold: float = HINGE_THRESHOLD) -> torch.Tensor:
    """Mean squared error where the label says target; in the background only positive scores are errors.

    Args:
        scores: Any shape.
        label: Gaussian labels, of the same shape as the scores.
        threshold: See `HINGE_THRESHOLD`.
    """
    target = (label >= threshold).to(scores.dtype)
    clipped = target * scores + (1 - target) * functional.relu(scores)
    return functional.mse_loss(clipped, target * label)


def kl_regression_loss(
    scores: torch.Tensor,
    proposal_density: torch.Tensor,
    true_density: torch.Tensor,
    present: torch.Tensor | None = None,
) -> torch.Tensor:
    """Kullback-Leibler divergence of the predicted box density from the true one, by Monte Carlo over proposals.

    Args:
        scores: (..., R) of R proposals; the predicted density is proportional to their exponential.
        proposal_density: (..., R) density that the proposals were drawn from.
        true_density: (..., R) wanted density at the proposals.
        present: (...) bool, frames that count; None: all. Where there is no target there is no box to find.
    """
    normalizer = torch.logsumexp(scores - proposal_density.log(), dim=-1) - math.log(scores.shape[-1])
    expected = (scores * true_density / proposal_density).mean(dim=-1)
    losses = normalizer - expected
    if present is None:
        return losses.mean()
    return (losses * present).sum() / present.sum().clamp_min(1)


def contrastive_loss(
    train_features: torch.Tensor,
    test_features: torch.Tensor,
    train_target: torch.Tensor,
    test_target: torch.Tensor,
    present: torch.Tensor,
    temperature: float = CONTRAST_TEMPERATURE,
) -> torch.Tensor:
    """How well the target's feature in the training frames picks its own cell among all cells of the whole batch.

    An auxiliary to the hinge loss (InfoNCE, van den Oord et al., 2018): from random weights the hinge loss alone says
    little about what makes targets differ. Cells at the rim of a target count neither way.

    Args:
        train_features: (I, S, h, w, C).
        test_features: (T, S, h, w, C).
        train_target: (I, S, h, w) 1 at the target's centre, falling to 0 beside it.
        test_target: (T, S, h, w) the same for the test frames.
        present: (T, S) bool, frames that have a target.
        temperature: Temperature of the softmax over cosines.
    """
    sequences = train_features.shape[1]
    weighted = (train_features * train_target[..., None]).sum(dim=(0, 2, 3))  # (S, C)
    targets = functional.normalize(weighted, dim=1)
    cells = functional.normalize(test_features, dim=-1).flatten(2, 3)  # (T, S, L, C)
    logits = torch.einsum("sc,trlc->strl", targets, cells) / temperature  # (S, T, S, L)
    centers = test_target.flatten(2)  # (T, S, L)
    own = torch.eye(sequences, dtype=torch.bool, device=logits.device)[:, None, :, None]
    seen = present[None, :, :, None]
    positive = own & seen & (centers >= TARGET_CORE)[None]
    rim = own & seen & ((centers > TARGET_RIM) & (centers < TARGET_CORE))[None]
    everything = logits.masked_fill(rim, -torch.inf).flatten(1).logsumexp(dim=1)  # (S,)
    hit = logits.masked_fill(~positive, -torch.inf).flatten(1).logsumexp(dim=1)
    losses = everything - hit
    return torch.where(torch.isfinite(losses), losses, 0.0).mean()


CENTRAL = 0.25
"""A cell so near the target's centre, in target sizes along each axis, is to give the target's box."""

CENTRAL_CELLS = 6.0
"""And one that is no more pixels away, so that a small target has such a cell too."""


class DirectLosses(NamedTuple):
    """Losses of the direct box head.

    Attributes:
        box: Mean of 1 - generalised IoU over the cells near the targets' centres.
        quality: Cross-entropy of the predicted overlap: the true one near a target's centre, zero outside the target.
    """

    box: torch.Tensor
    quality: torch.Tensor


def direct_losses(output: torch.Tensor, boxes: torch.Tensor, present: torch.Tensor) -> DirectLosses:
    """Losses of the direct box head.

    Cells within the target but not near its centre count neither way. Those outside count by the square of what was
    predicted (as in VarifocalNet, CVPR 2021): there are many, and most are easy.

    Args:
        output: (N, 5, H, W) of the head.
        boxes: (N, 4) true boxes x, y, w, h in pixels of the network input.
        present: (N,) bool, frames that show the target; in the others every cell is outside it.
    """
    centers = cell_centers((output.shape[2], output.shape[3]), output.device)  # (2, H, W)
    size = boxes[:, 2:, None, None]
    offset = (centers - boxes[:, :2, None, None] - size / 2).abs()  # (N, 2, H, W)
    inside = (offset < size / 2).all(dim=1) & present[:, None, None]
    central = inside & (offset < (CENTRAL * size).clamp_min(CENTRAL_CELLS)).all(dim=1)
    overlap, generalized = _overlaps(decode_boxes(output), boxes[..., None, None].expand(-1, -1, *centers.shape[1:]))
    count = central.sum(dim=(1, 2)).clamp_min(1)
    per_frame = ((1 - generalized) * central).sum(dim=(1, 2)) / count
    box = per_frame.sum() / (central.any(dim=(1, 2))).sum().clamp_min(1)

    logits = output[:, 4]
    wanted = torch.where(central, overlap.detach(), 0.0)
    weight = torch.where(central, 1.0, logits.detach().sigmoid().square() * ~inside)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return DirectLosses(box, (entropy * weight).sum() / central.sum().clamp_min(1))


def _overlaps(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and generalised IoU (CVPR 2019) of boxes x, y, w, h along the second dimension, (N, 4, ...)."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    outer_low = torch.minimum(first[:, :2], second[:, :2])
    outer_high = torch.maximum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = (high - low).clamp_min(0).prod(dim=1)
    union = first[:, 2:].prod(dim=1) + second[:, 2:].prod(dim=1) - common
    hull = (outer_high - outer_low).prod(dim=1)
    overlap = common / union.clamp_min(1e-6)
    return overlap, overlap - (hull - union) / hull.clamp_min(1e-6)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of the loss (DiMP, section 3.4).

    Attributes:
        box: Box regression.
        final_filter: Scores of the last filter iterate.
        initial_filter: Scores of the initialiser's filter.
        intermediate_filters: Mean over the iterates between them.
        contrast: `contrastive_loss`, used where targets are given for it.
        direct_box: Boxes of the direct box head.
        direct_quality: Qualities of the direct box head.
    """

    box: float = 0.01
    final_filter: float = 100.0
    initial_filter: float = 100.0
    intermediate_filters: float = 400.0
    contrast: float = 0.5
    direct_box: float = 1.0
    direct_quality: float = 1.0


def weighted_losses(
    output: TrainingOutput,
    label: torch.Tensor,
    proposals: Proposals | None,
    weights: LossWeights | None = None,
    present: torch.Tensor | None = None,
    targets: tuple[torch.Tensor, torch.Tensor] | None = None,
    boxes: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """All parts of the loss, weighted, and their sum ``total``.

    Args:
        output: What `TrainingPass` returned, with at least three filter iterates.
        label: (T, S, H', W') classifier labels of the test frames.
        proposals: What the box scores were computed for; None: without the loss of the IoU predictor.
        weights: None: the defaults.
        present: (T, S) bool, frames with a target; None: all. The labels of the others should be zero.
        targets: Where the targets are in training and test frames, for `contrastive_loss`; None: without that loss.
        boxes: (T, S, 4) true boxes of the test frames, for the direct box head; None: without its losses.
    """
    weights = weights or LossWeights()
    by_iterate = [hinge_loss(scores, label) for scores in output.scores]
    between = by_iterate[1:-1]
    parts = {}
    if output.box_scores is not None and proposals is not None:
        divergence = kl_regression_loss(output.box_scores, proposals.density, proposals.true_density, present)
        parts["box"] = weights.box * divergence
    parts |= {
        "final_filter": weights.final_filter * by_iterate[-1],
        "initial_filter": weights.initial_filter * by_iterate[0],
        "intermediate_filters": weights.intermediate_filters * torch.stack(between).mean(),
    }
    everywhere = torch.ones_like(label[..., 0, 0], dtype=torch.bool) if present is None else present
    if output.direct is not None and boxes is not None:
        direct = direct_losses(output.direct.flatten(0, 1), boxes.flatten(0, 1), everywhere.flatten())
        parts["direct_box"] = weights.direct_box * direct.box
        parts["direct_quality"] = weights.direct_quality * direct.quality
    if targets is not None:
        features = output.train_features, output.test_features
        parts["contrast"] = weights.contrast * contrastive_loss(*features, *targets, everywhere)
    return {"total": torch.stack(list(parts.values())).sum(), **parts}
