"""A backbone that is not trained, prepared for inference: no backward pass, batch norms folded."""

from __future__ import annotations

import copy

import torch
from torch import nn

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.feature_engine import Pair
from trdimp_ros.models.openvino_stage import CompiledStage
from trdimp_ros.tracking.engines import choose_engine, engine_name

CHUNK = 8
"""Images that torch works on at a time on a processor: more do not fit its caches, and take 1.7 times as long each."""

COMPILED_CHUNK = 16
"""The same for OpenVINO, which is then twice as fast as torch."""


class FrozenBackbone:
    """A copy of a network's backbone. It is no module, so that it adds no weights to the one that uses it.

    Args:
        network: The network; its later changes do not matter before `renew`.
        precision: The features are computed in it, and are of this type.
        layout: Memory format of the images in torch.
        engine: What computes it, one of `trdimp_ros.tracking.engines.ENGINES`.

    Raises:
        ValueError: for an engine that is unknown, not installed, or cannot compute there.
    """

    def __init__(
        self, network: TrDiMPNet, precision: torch.dtype, layout: torch.memory_format, engine: str = "auto"
    ) -> None:
        self._precision, self._layout = precision, layout
        device = next(network.backbone.parameters()).device
        self._compiles = engine_name(choose_engine(engine, device, precision)) == "openvino"
        self.renew(network)

    def renew(self, network: TrDiMPNet) -> None:
        """Copy the backbone anew, after the network's weights were replaced."""
        backbone = copy.deepcopy(network.backbone).eval().requires_grad_(False)
        backbone.prepare_for_inference()
        for module in backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        self._backbone = backbone.to(self._precision)
        self._compiled = CompiledStage("backbone", self._backbone, COMPILED_CHUNK) if self._compiles else None

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> Pair:
        """The features of RGB images (N, 3, H, W) 0..255, as `Backbone.forward` gives them."""
        inputs = self._backbone.normalize(images)
        if self._compiled is not None:
            fine, coarse = self._compiled(inputs)
            return fine, coarse
        inputs = inputs.to(self._precision).contiguous(memory_format=self._layout)
        parts = [self._backbone(some) for some in inputs.split(CHUNK if inputs.device.type == "cpu" else len(inputs))]
        fine, coarse = (torch.cat(level) for level in zip(*parts, strict=True))
        return fine, coarse
