"""What a batch of samples costs: the passes of the network through it, and all parts of the loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.training.appearance_pass import AppearancePass
from trdimp_ros.training.close_views import CloseViews, draw_close_views
from trdimp_ros.training.config import TrainingConfig
from trdimp_ros.training.forward_pass import Roles, TrainingOutput, TrainingPass, rotating
from trdimp_ros.training.frozen_backbone import FrozenBackbone
from trdimp_ros.training.losses import LossWeights, weighted_losses
from trdimp_ros.training.proposals import Proposals, draw_proposals
from trdimp_ros.training.samples import Samples


class Objective:
    """The loss of batches, as a function of a network's weights.

    Args:
        network: The network to train.
        config: What is trained, and how much each part counts.
        precision: Convolutions compute in it.
        frozen: Computes the backbone where it is not trained; None: it is.

    Raises:
        ValueError: if the configuration asks for the appearance head alone and the network has none.
    """

    def __init__(
        self, network: TrDiMPNet, config: TrainingConfig, precision: torch.dtype, frozen: FrozenBackbone | None
    ) -> None:
        self._network, self._config = network, config
        self._embeds = network.appearance_head is not None and config.appearance_weight > 0
        if config.only_appearance and not self._embeds:
            raise ValueError("only_appearance needs a network with an appearance head, and appearance_weight above 0")
        self._roles = rotating(config.templates, config.tests, config.turns)
        passes = _Passes(
            TrainingPass(network, config.iterations, precision, frozen, torch.channels_last),
            AppearancePass(network, precision, frozen),
        )
        self._passes: nn.Module = passes
        if distributed.is_initialized():
            # WV and the unused parts of the checkpoint's layout get no gradient.
            self._passes = DistributedDataParallel(passes, find_unused_parameters=True)

    def __call__(self, samples: Samples, seed: int) -> dict[str, torch.Tensor]:
        """All parts of the loss, weighted, and their sum ``total``.

        Args:
            samples: The batch.
            seed: Seed of what is drawn besides: proposals and close views.
        """
        config, device = self._config, samples.images.device
        proposals: Proposals | None = None
        if config.box_weight > 0 and not config.only_appearance:
            generator = torch.Generator(device).manual_seed(seed)
            proposals = draw_proposals(self._roles.as_tests(samples.boxes), config.proposals, generator)
        views: CloseViews | None = None
        if self._embeds:
            views = draw_close_views(samples, torch.Generator(device).manual_seed(seed))
        inputs = None if config.only_appearance else self._inputs(samples, proposals)
        tracked, appearance = self._passes(inputs, views)
        parts: dict[str, torch.Tensor] = {}
        if tracked is not None:
            parts |= self._tracking_losses(tracked, samples, proposals)
        parts |= {name: config.appearance_weight * value for name, value in appearance.items()}
        return {"total": torch.stack(list(parts.values())).sum(), **parts}

    def _inputs(self, samples: Samples, proposals: Proposals | None) -> _Inputs:
        cells, side = samples.images.shape[-1] // STRIDE, samples.images.shape[-1]
        flat = samples.boxes.flatten(0, 1)
        masks = gaussian_label(flat, (cells, cells), (side, side), self._network.config.filter_size)
        scored = None if proposals is None else proposals.boxes
        return _Inputs(samples.images, samples.boxes, masks.unflatten(0, samples.present.shape), scored, self._roles)

    def _tracking_losses(
        self, output: TrainingOutput, samples: Samples, proposals: Proposals | None
    ) -> dict[str, torch.Tensor]:
        config, roles, frames = self._config, self._roles, samples.present.shape
        side = samples.images.shape[-1]
        cells = side // STRIDE
        flat, grid, width = samples.boxes.flatten(0, 1), ((cells, cells), (side, side)), config.label_width / cells
        labels = gaussian_label(flat, *grid, self._network.config.filter_size, width, end_pad=True)
        labels = labels.unflatten(0, frames) * samples.present[..., None, None]
        # An odd filter size: these maps lie on the feature's cells, not between them.
        centers = gaussian_label(flat, *grid, 1, width).unflatten(0, frames)
        weights = LossWeights(
            box=config.box_weight,
            contrast=config.contrast_weight,
            direct_box=config.direct_weight,
            direct_quality=config.direct_weight,
        )
        losses = weighted_losses(
            output,
            roles.as_tests(labels),
            proposals,
            weights,
            roles.as_tests(samples.present),
            (roles.as_templates(centers), roles.as_tests(centers)),
            roles.as_tests(samples.boxes),
        )
        losses.pop("total")
        return losses


class _Inputs(NamedTuple):
    """The arguments of `TrainingPass.forward`."""

    images: torch.Tensor
    boxes: torch.Tensor
    masks: torch.Tensor
    proposals: torch.Tensor | None
    roles: Roles


class _Passes(nn.Module):
    """Both passes as one module, because gradients are exchanged between processes by module."""

    def __init__(self, tracking: TrainingPass, appearance: AppearancePass) -> None:
        super().__init__()
        self.tracking, self.appearance = tracking, appearance

    def forward(
        self, inputs: _Inputs | None, views: CloseViews | None
    ) -> tuple[TrainingOutput | None, dict[str, torch.Tensor]]:
        tracked = None if inputs is None else self.tracking(*inputs)
        return tracked, {} if views is None else self.appearance(views)
