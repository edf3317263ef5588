"""The network's part of a frame behind one small interface, so that another inference engine can take it over.

Everything else that a tracker computes (memories, filter optimiser, localisation, box refinement) stays in torch. The
engines are `TorchEngine` here and `OpenVinoEngine` in `openvino_engine.py`; `tracking/engines.py` chooses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from trdimp_ros.models.direct_box_head import BoxReference
from trdimp_ros.models.network import TrDiMPNet
from trdimp_ros.models.transformer import EncodedMemory

Pair = tuple[torch.Tensor, torch.Tensor]

TensorFunction = Callable[..., tuple[torch.Tensor, ...]]
"""Tensors in, tensors out, all of which begin with the number of images or targets."""


class FeatureEngine(Protocol):
    """Computes a network's features of images, and what the target's memory makes of them.

    All results are of the tracker's precision and on its device. They may be overwritten by the next call of the same
    method. On a CUDA device a call must be recordable in a CUDA graph: fixed shapes, nothing that waits for the host.

    Attributes:
        compiles: Whether the first call with a shape takes much longer than others, because it is compiled.
        threads: The processor's threads, where they are the engine's own; None: it computes with torch's.
    """

    @property
    def compiles(self) -> bool: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def traceable(self) -> FeatureEngine:
        """An engine of torch's own modules that computes the same and can be traced."""

    def compiled(self, name: str, module: nn.Module) -> TensorFunction:
        """A computation of the caller's, as this engine does it fastest.

        Args:
            name: What it computes, for messages.
            module: A `TensorFunction` whose operations depend on nothing but the shapes of its inputs. It may use
                the engine `traceable`, and no other.
        """

    def backbone(self, images: torch.Tensor) -> Pair:
        """Normalise images and pass them through the backbone.

        Args:
            images: RGB images (N, 3, S, S) float32, 0..255.

        Returns:
            The stride-8 feature (N, C8, S/8, S/8) and the stride-16 feature (N, C16, S/16, S/16).
        """

    def classification_feature(self, coarse: torch.Tensor) -> torch.Tensor:
        """The normalised classification feature (N, H, W, C) of a stride-16 feature (N, C16, H, W)."""

    def decode(self, frames: torch.Tensor, memory: EncodedMemory) -> torch.Tensor:
        """Enhance classification features by what the template memory knows of the target.

        Args:
            frames: Features as tokens (N, L, C), L = H * W.
            memory: The encoded memory, of batch size 1 (shared by all frames) or N.

        Returns:
            (N, L, C), see `Transformer.decode`.
        """

    def box_features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Pair:
        """The IoU predictor's features of a search frame.

        Args:
            fine: The stride-8 feature (N, C8, H, W).
            coarse: The stride-16 feature (N, C16, H/2, W/2).

        Returns:
            Features (N, D, H, W) and (N, D, H/2, W/2), see `BoxRegressor.search_features`.
        """

    def direct_feature(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """The direct box head's feature of a search frame; only for networks that have the head.

        Args:
            fine: The stride-8 feature (N, C8, H, W).
            coarse: The stride-16 feature (N, C16, H/2, W/2).

        Returns:
            The feature (N, D, H, W), see `DirectBoxHead.search_feature`.
        """

    def direct_boxes(self, reference: BoxReference, feature: torch.Tensor) -> torch.Tensor:
        """The direct box head's output; only for networks that have the head.

        Args:
            reference: What is known of each of N targets, float32.
            feature: The feature (N, D, H, W) from `direct_feature`.

        Returns:
            Distances and quality (N, 5, H, W) float32, see `DirectBoxHead.forward`.
        """

    def embeddings(self, views: torch.Tensor) -> torch.Tensor:
        """What close views look like; only for networks that have an appearance head.

        Args:
            views: RGB images (N, 3, V, V) float32, 0..255, V being `VIEW_SIDE`.

        Returns:
            Unit vectors (N, D) float32, see `AppearanceHead.forward`.
        """


EngineFactory = Callable[[TrDiMPNet], FeatureEngine]
"""Makes an engine from a network that has been prepared for inference."""


class TorchEngine:
    """The network's own modules.

    Args:
        network: A network prepared for inference; the type of its weights is the precision.
    """

    compiles = False
    threads = None

    def __init__(self, network: TrDiMPNet) -> None:
        self._network = network
        self._dtype = network.classifier.projection.weight.dtype

    @property
    def traceable(self) -> TorchEngine:
        """See `FeatureEngine.traceable`."""
        return self

    def compiled(self, name: str, module: nn.Module) -> TensorFunction:
        """See `FeatureEngine.compiled`: as it is."""
        return module

    def backbone(self, images: torch.Tensor) -> Pair:
        """See `FeatureEngine.backbone`."""
        backbone = self._network.backbone
        fine, coarse = backbone(backbone.normalize(images).to(self._dtype))
        return fine, coarse

    def classification_feature(self, coarse: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.classification_feature`."""
        return self._network.classifier.classification_feature(coarse)

    def decode(self, frames: torch.Tensor, memory: EncodedMemory) -> torch.Tensor:
        """See `FeatureEngine.decode`."""
        return self._network.classifier.transformer.decode(frames, memory)

    def box_features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Pair:
        """See `FeatureEngine.box_features`."""
        return self._network.bb_regressor.search_features(fine, coarse)

    def direct_feature(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.direct_feature`."""
        return self._network.required_direct_box_head.search_feature(fine, coarse)

    def direct_boxes(self, reference: BoxReference, feature: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.direct_boxes`."""
        output: torch.Tensor = self._network.required_direct_box_head(reference, feature)
        return output

    def embeddings(self, views: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.embeddings`."""
        head = self._network.required_appearance_head
        output: torch.Tensor = head(views, *self.backbone(views))
        return output
