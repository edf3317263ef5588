"""The training-time pass of the appearance head, and its loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.appearance_head import AppearanceHead
from trdimp_ros.models.feature_engine import Pair
from trdimp_ros.training.close_views import CloseViews
from trdimp_ros.training.frozen_backbone import FrozenBackbone


class Embeddings(NamedTuple):
    """Embeddings of the views in `CloseViews`, each (I, S, D)."""

    targets: torch.Tensor
    look_alikes: torch.Tensor
    elsewhere: torch.Tensor


class AppearancePass(nn.Module):
    """The loss of the appearance head on close views. The backbone learns nothing from it.

    Args:
        network: The network to train, with an appearance head.
        precision: Convolutions compute in it.
        frozen: Computes the backbone where it is not trained at all; None: the network's own computes it.
    """

    def __init__(self, network: TrDiMPNet, precision: torch.dtype, frozen: FrozenBackbone | None) -> None:
        super().__init__()
        self.network = network
        self._precision, self._frozen = precision, frozen

    def forward(self, views: CloseViews) -> dict[str, torch.Tensor]:
        """See `appearance_losses`; all views are computed together, and the batch norms see them all."""
        frames, batch = views.present.shape
        kinds = torch.stack([views.targets, views.look_alikes, views.elsewhere])  # (3, I, S, 3, V, V)
        with torch.autocast(kinds.device.type, self._precision, enabled=self._precision != torch.float32):
            images = kinds.flatten(0, 2)
            embeddings = self.network.required_appearance_head(images, *self._backbone(images))
        # All that is trained must be used in here, where processes that train together wait for it.
        embedded = Embeddings(*embeddings.view(3, frames, batch, -1))
        return appearance_losses(self.network.required_appearance_head, embedded, views)

    @torch.no_grad()
    def _backbone(self, images: torch.Tensor) -> Pair:
        if self._frozen is not None:
            return self._frozen(images)
        backbone, trained = self.network.backbone, self.network.backbone.training
        backbone.eval()  # close views are no search areas: they must not count in its batch norms
        fine, coarse = backbone(backbone.normalize(images))
        backbone.train(trained)
        return fine, coarse


def appearance_losses(head: AppearanceHead, embeddings: Embeddings, views: CloseViews) -> dict[str, torch.Tensor]:
    """Cross-entropies of the probability that two views show the same object.

    Args:
        head: The appearance head, which turns cosines into logits.
        embeddings: What it made of the views.
        views: The views of at least two frames of at least two targets.

    Returns:
        ``appearance_same``: mean over pairs of frames of one object. ``appearance_look_alike``: mean over pairs of a
        target and what resembles it. ``appearance_other``: mean over views of the probability that any view of
        something else shows the same.
    """
    frames, batch, dimensions = embeddings.targets.shape
    objects = torch.cat([embeddings.targets, embeddings.look_alikes], dim=1).flatten(0, 1)  # (I * 2S, D)
    identity = torch.arange(2 * batch, device=objects.device).repeat(frames)
    usable = torch.cat([views.present, views.present & views.distinct], dim=1).flatten()
    logits = head.logit(objects @ torch.cat([objects, embeddings.elsewhere.reshape(-1, dimensions)]).T)
    among = logits[:, : len(objects)]

    both = usable[:, None] & usable
    equal = identity[:, None] == identity
    alike = (identity[:, None] - identity).abs() == batch
    itself = torch.eye(len(objects), dtype=torch.bool, device=objects.device)
    # A look-alike that hardly differs is a view of the target itself: no pair of its target counts either way.
    elsewhere = torch.ones(len(objects), logits.shape[1] - len(objects), dtype=torch.bool, device=objects.device)
    other = torch.cat([usable & ~equal & ~alike, elsewhere], dim=1)
    anything_else = logits.masked_fill(~other, -torch.inf).logsumexp(dim=1)
    return {
        "appearance_same": _mean(functional.softplus(-among), both & equal & ~itself),
        "appearance_look_alike": _mean(functional.softplus(among), both & alike),
        "appearance_other": _mean(functional.softplus(anything_else), usable),
    }


def _mean(values: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    return (values * chosen).sum() / chosen.sum().clamp_min(1)
