"""The network's part of a frame, computed by OpenVINO: on a processor faster than torch's own modules.

OpenVINO (Intel, Apache-2.0, for x86 and ARM) lays weights out for the processor once, and fuses each convolution with
what follows it. The package `openvino` is optional (the extra ``fast``) and imported only here, when it is used.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from trdimp_ros.models.appearance_head import AppearanceHead, require_appearance_head
from trdimp_ros.models.direct_box_head import BoxReference, DirectBoxHead, require_direct_box_head
from trdimp_ros.models.feature_engine import Pair
from trdimp_ros.models.network import Classifier, TrDiMPNet
from trdimp_ros.models.transformer import EncodedMemory, Transformer

SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 would use it unasked
    "NUM_STREAMS": 1,
    # Threads that are bound to cores wait there for whatever else runs on them.
    "ENABLE_CPU_PINNING": False,
}


def import_openvino() -> Any:
    """The package `openvino`, without the statistics of use that it would send to its makers.

    Raises:
        ImportError: if it is not installed.
    """
    if "openvino" not in sys.modules:
        # It asks for this package at import, and does without it where it is missing.
        sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino  # noqa: PLC0415  # optional, and slow to load

    return openvino


@functools.cache
def _core() -> Any:
    """OpenVINO's device, once in a process.

    It gives threads a stack of their own for signals. With the last device that stack's memory goes, but the threads
    keep using it: the next signal then ends the process (OpenVINO 2026.4.1).
    """
    return import_openvino().Core()


class CompiledStage:
    """One stage of the network, compiled for single images when the first one of a size comes.

    Several images are computed one after the other: on a robot's few cores that costs no more than a batch, and a
    number of targets that was not met before costs no compilation in the middle of tracking.

    Args:
        name: The stage's name in messages.
        module: Tensors in, a tensor or a tuple of tensors out, all beginning with the number of images.
        batch: So many images are computed at once; for training, where there are always many.
        threads: Threads of the processor; None: as many as torch has when the stage is compiled.
    """

    def __init__(self, name: str, module: nn.Module, batch: int = 1, threads: int | None = None) -> None:
        self._name, self._module, self._batch, self._threads = name, module.eval(), batch, threads
        self._requests: dict[tuple[tuple[int, ...], ...], Any] = {}

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The stage's results (N, ...) float32 for inputs (N, ...) float32."""
        starts = range(0, len(inputs[0]), self._batch)
        parts = [self._some([one[start : start + self._batch] for one in inputs]) for start in starts]
        if len(parts) == 1:
            return tuple(parts[0])
        return tuple(torch.cat(results) for results in zip(*parts, strict=True))

    def _some(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        shapes = tuple(tuple(one.shape) for one in inputs)
        if shapes not in self._requests:
            self._requests[shapes] = self._compile(inputs)
        request = self._requests[shapes]
        arrays = [one.contiguous().numpy() for one in inputs]  # they have to live until the results are there
        tensor = import_openvino().Tensor
        # Given one by one: `infer` with a list of them first finds out, for 0.1 ms, what it has been given.
        for index, array in enumerate(arrays):
            request.set_input_tensor(index, tensor(array, shared_memory=True))
        request.infer()
        # Copied, because the next call overwrites them: they are small, and a frame's are needed until it is learned.
        return [torch.from_numpy(np.array(result.data)) for result in request.output_tensors]

    def _compile(self, inputs: Sequence[torch.Tensor]) -> Any:
        openvino = import_openvino()
        examples = tuple(torch.zeros(one.shape) for one in inputs)
        try:
            # Tensors of the inference mode cannot be traced.
            with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that sizes become constants is wanted
                traced = torch.jit.trace(self._module, examples, check_trace=False)
                model = openvino.convert_model(traced, input=[tuple(one.shape) for one in examples])
            threads = {"INFERENCE_NUM_THREADS": self._threads or torch.get_num_threads()}
            return _core().compile_model(model, "CPU", {**SETTINGS, **threads}).create_infer_request()
        except Exception as error:  # its exceptions are of many types
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"engine openvino ({openvino.__version__}) cannot compute the {self._name}: {first_line}; use the "
                "engine torch"
            ) from error


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
