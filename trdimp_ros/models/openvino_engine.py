"""The network's part of a frame, computed by OpenVINO: on a processor faster than torch's own modules.

The package `openvino` is optional (the extra ``fast``) and imported only when it is used, see `openvino_stage.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from trdimp_ros.models.appearance_head import AppearanceHead, require_appearance_head
from trdimp_ros.models.direct_box_head import BoxReference, DirectBoxHead, require_direct_box_head
from trdimp_ros.models.feature_engine import Pair, TensorFunction, TorchEngine
from trdimp_ros.models.network import Classifier, TrDiMPNet
from trdimp_ros.models.openvino_stage import CompiledStage, import_openvino
from trdimp_ros.models.transformer import EncodedMemory, Transformer


class OpenVinoEngine:
    """A network's stages compiled by OpenVINO, float32, on the processor; see `FeatureEngine`.

    Args:
        network: A network prepared for inference.
        threads: Threads of the processor; None: as many as torch has when a stage is compiled.

    Raises:
        ImportError: if the package openvino is not installed.
        ValueError: if the network is not on the processor, or not in float32.
    """

    compiles = True

    def __init__(self, network: TrDiMPNet, threads: int | None = None) -> None:
        import_openvino()
        weight = network.classifier.projection.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32:
            raise ValueError(
                f"engine openvino computes in float32 on the processor, not in {weight.dtype} on {weight.device}; use "
                "the engine torch"
            )
        self._network, self.threads = network, threads
        self._backbone = self._stage("backbone", _Backbone(network))
        self._classification = self._stage("classification feature", _Classification(network.classifier))
        self._decoder = self._stage("decoder", _Decoder(network.classifier.transformer))
        self._box = self._stage("box features", _Box(network))
        self._views: CompiledStage | None = None
        self._direct_head = network.direct_box_head
        self._direct: tuple[CompiledStage, CompiledStage] | None = None

    @property
    def traceable(self) -> TorchEngine:
        """See `FeatureEngine.traceable`."""
        return TorchEngine(self._network)

    def compiled(self, name: str, module: nn.Module) -> TensorFunction:
        """See `FeatureEngine.compiled`."""
        return self._stage(name, module)

    def _stage(self, name: str, module: nn.Module) -> CompiledStage:
        return CompiledStage(name, module, threads=self.threads)

    def backbone(self, images: torch.Tensor) -> Pair:
        """See `FeatureEngine.backbone`."""
        fine, coarse = self._backbone(images)
        return fine, coarse

    def classification_feature(self, coarse: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.classification_feature`."""
        return self._classification(coarse)[0]

    def decode(self, frames: torch.Tensor, memory: EncodedMemory) -> torch.Tensor:
        """See `FeatureEngine.decode`."""
        # A stage computes image by image: one memory for all of them has to be there as often.
        keys, values = (one.expand(len(frames), -1, -1) for one in (memory.keys, memory.values))
        return self._decoder(frames, keys, values)[0]

    def box_features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Pair:
        """See `FeatureEngine.box_features`."""
        fine, coarse = self._box(fine, coarse)
        return fine, coarse

    def direct_feature(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.direct_feature`."""
        return self._direct_stages()[0](fine, coarse)[0]

    def direct_boxes(self, reference: BoxReference, feature: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.direct_boxes`."""
        return self._direct_stages()[1](reference.gains, reference.parts, feature)[0]

    def embeddings(self, views: torch.Tensor) -> torch.Tensor:
        """See `FeatureEngine.embeddings`."""
        if self._views is None:
            head = require_appearance_head(self._network.appearance_head)
            self._views = self._stage("appearance embedding", _Embeddings(self._network, head))
        return self._views(views)[0]

    def _direct_stages(self) -> tuple[CompiledStage, CompiledStage]:
        if self._direct is None:
            head = require_direct_box_head(self._direct_head)
            feature = self._stage("direct box feature", _DirectFeature(head))
            self._direct = feature, self._stage("direct box head", _DirectBoxes(head))
        return self._direct


class _Backbone(nn.Module):
    """Images (N, 3, S, S) 0..255 -> fine and coarse feature."""

    def __init__(self, network: TrDiMPNet) -> None:
        super().__init__()
        self.part = network.backbone

    def forward(self, images: torch.Tensor) -> Pair:
        fine, coarse = self.part(self.part.normalize(images))
        return fine, coarse


class _Classification(nn.Module):
    """Coarse feature -> classification feature (N, H, W, C)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.part = classifier

    def forward(self, coarse: torch.Tensor) -> torch.Tensor:
        return self.part.classification_feature(coarse)


class _Decoder(nn.Module):
    """Tokens, and keys and values of the template memory -> decoded tokens."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.part = transformer

    def forward(self, frames: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return self.part.decode(frames, EncodedMemory(keys, values))


class _Box(nn.Module):
    """Fine and coarse feature -> the IoU predictor's features."""

    def __init__(self, network: TrDiMPNet) -> None:
        super().__init__()
        self.part = network.bb_regressor

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> Pair:
        return self.part.search_features(fine, coarse)


class _Embeddings(nn.Module):
    """Close views (N, 3, V, V) 0..255 -> unit vectors."""

    def __init__(self, network: TrDiMPNet, head: AppearanceHead) -> None:
        super().__init__()
        self.backbone, self.head = _Backbone(network), head

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        embeddings: torch.Tensor = self.head(views, *self.backbone(views))
        return embeddings


class _DirectFeature(nn.Module):
    """Fine and coarse feature -> the direct box head's feature."""

    def __init__(self, head: DirectBoxHead) -> None:
        super().__init__()
        self.part = head

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return self.part.search_feature(fine, coarse)


class _DirectBoxes(nn.Module):
    """Gains, parts and feature -> distances and quality."""

    def __init__(self, head: DirectBoxHead) -> None:
        super().__init__()
        self.part = head

    def forward(self, gains: torch.Tensor, parts: torch.Tensor, feature: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.part(BoxReference(gains, parts), feature)
        return output


@dataclass(frozen=True)
class OpenVinoThreads:
    """An `EngineFactory` of engines that compute with a number of threads of their own.

    Attributes:
        threads: The number of threads of the processor.
    """

    threads: int

    def __call__(self, network: TrDiMPNet) -> OpenVinoEngine:
        """See `OpenVinoEngine`."""
        return OpenVinoEngine(network, self.threads)
