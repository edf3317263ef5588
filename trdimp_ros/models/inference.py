"""Preparing a trained network for tracking: batch norms folded into convolutions, layout and precision chosen."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from trdimp_ros.models.box_regressor import BoxRegressor
from trdimp_ros.models.config import NetworkConfig
from trdimp_ros.models.direct_box_head import DirectBoxHead
from trdimp_ros.models.feature_engine import EngineFactory, FeatureEngine, TorchEngine
from trdimp_ros.models.folding import fold_sequences
from trdimp_ros.models.network import TrDiMPNet
from trdimp_ros.models.target_filter import FilterInitializer, FilterOptimizer
from trdimp_ros.models.transformer import Transformer


@dataclass(frozen=True)
class InferenceNetwork:
    """A network as a tracker uses it, from `prepare_for_inference`.

    Attributes:
        config: All sizes.
        engine: Computes the features of images.
        transformer: Attends to template frames, in the tracker's precision.
        filter_initializer: The first guess of the target filter, float32.
        filter_optimizer: Improves the target filter, float32.
        box_regressor: The IoU predictor; its convolutions are of the tracker's precision.
        direct_box_head: The direct box head in the tracker's precision, if the network has one.
        device: The device that everything is on.
        dtype: The tracker's precision.
    """

    config: NetworkConfig
    engine: FeatureEngine
    transformer: Transformer
    filter_initializer: FilterInitializer
    filter_optimizer: FilterOptimizer
    box_regressor: BoxRegressor
    direct_box_head: DirectBoxHead | None
    device: torch.device
    dtype: torch.dtype


def prepare_for_inference(
    network: TrDiMPNet,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    engine: EngineFactory = TorchEngine,
) -> InferenceNetwork:
    """A copy of the network for tracking only, equal up to rounding.

    Stages and layers that the tracker never uses are left out. Convolutions and the attention's key projection
    compute in ``dtype``; first guess and optimiser of the filter and the box scores stay in float32.

    Args:
        network: The network with its weights loaded. It is not changed.
        device: The device that the copy goes to.
        dtype: The precision, float32, bfloat16 or float16.
        engine: Makes what computes the features from the prepared copy.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    classifier = prepared.classifier
    prepared.backbone.prepare_for_inference()
    fold_sequences(prepared.bb_regressor)
    parts: list[nn.Module] = [prepared.backbone, classifier.projection, prepared.bb_regressor]
    if prepared.direct_box_head is not None:
        fold_sequences(prepared.direct_box_head)
        parts.append(prepared.direct_box_head)
    if prepared.appearance_head is not None:
        fold_sequences(prepared.appearance_head)
        parts.append(prepared.appearance_head)
    prepared = prepared.to(device=device)
    for part in parts:
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                module.to(dtype=dtype)
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    prepared.backbone.to(dtype=dtype)
    classifier.transformer.to(dtype=dtype)
    return InferenceNetwork(
        config=prepared.config,
        engine=engine(prepared),
        transformer=classifier.transformer,
        filter_initializer=classifier.filter_initializer,
        filter_optimizer=classifier.filter_optimizer,
        box_regressor=prepared.bb_regressor,
        direct_box_head=prepared.direct_box_head,
        device=device,
        dtype=dtype,
    )
