"""Steps of a tracker compiled as one piece by an inference engine.

On a processor a small network's frame spends a good part of its time on a few hundred operations with a handful of
numbers each, and on the way in and out of the engine between the network's stages. An engine that compiles takes all of
`locate_frame` in one go instead, and so the update of the target filter.
"""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import nn

from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.target_filter import FilterOptimizer, SampleMaps
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.box_stage import DirectBoxes
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.frame_pass import DeviceInputs, FrameOutput, LearnedModels, locate_frame, no_stage
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.host_inputs import FrameInputs, ParameterInputs

FRAME_INPUTS = tuple(spec.name for spec in fields(FrameInputs) if spec.name != "uniform")
"""What a frame is told by the host; the random numbers are for ways to a box that are not compiled."""


class CompiledFrame:
    """`locate_frame` for one `FrameSettings`, compiled. The boxes are the direct head's, or follow the scales.

    Args:
        network: The network prepared for inference, with an engine that compiles.
        settings: What shapes the computation.
        direct: Whether boxes come from the direct head; otherwise there is no box stage.
    """

    def __init__(self, network: InferenceNetwork, settings: FrameSettings, direct: bool) -> None:
        self._run = network.engine.compiled("frame", _Frame(network, settings, direct))

    def __call__(self, models: LearnedModels, inputs: DeviceInputs) -> FrameOutput:
        """See `locate_frame`; nothing is told of stages.

        Args:
            models: What has been learned of the T targets.
            inputs: What the host has uploaded for them.
        """
        targets = len(models.filters)
        parameters = inputs.parameters
        references = models.box_stage.references if isinstance(models.box_stage, DirectBoxes) else ()
        return FrameOutput(
            *self._run(
                inputs.patches.unflatten(0, (targets, -1)),
                models.filters,
                models.memory.keys,
                models.memory.values,
                parameters.thresholds.expand(targets, -1),
                parameters.max_aspect_ratio.expand(targets, -1),
                *(getattr(inputs.frame, name) for name in FRAME_INPUTS),
                *(buffer[models.first : models.first + targets] for buffer in references),
            )
        )


class _Frame(nn.Module):
    """`locate_frame` as a function of tensors alone, which all begin with the number of targets."""

    def __init__(self, network: InferenceNetwork, settings: FrameSettings, direct: bool) -> None:
        super().__init__()
        # As torch's modules, which can be traced.
        self._network = replace(network, engine=network.engine.traceable)
        self._settings, self._direct = settings, direct

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        patches, filters, keys, values, thresholds, max_aspect_ratio, *others = tensors
        numbers, references = others[: len(FRAME_INPUTS)], others[len(FRAME_INPUTS) :]
        frame = FrameInputs(**dict(zip(FRAME_INPUTS, numbers, strict=True)), uniform=patches.new_zeros(1, 0, 4))
        unused = patches.new_zeros(1)
        parameters = ParameterInputs(
            thresholds=thresholds[0],
            max_aspect_ratio=max_aspect_ratio[0],
            **dict.fromkeys(("jitter", "step", "decay"), unused),
        )
        box_stage = DirectBoxes(self._network, 1, tuple(references)) if self._direct else None
        models = LearnedModels(filters, EncodedMemory(keys, values), box_stage, first=0)
        inputs = DeviceInputs(patches.flatten(0, 1), frame, parameters)
        return tuple(locate_frame(self._network, models, inputs, self._settings, no_stage))


class CompiledUpdate:
    """So many steps of the filter optimiser, compiled.

    Args:
        network: The network prepared for inference, with an engine that compiles.
        iterations: The number of steps.
    """

    def __init__(self, network: InferenceNetwork, iterations: int) -> None:
        self._run = network.engine.compiled("filter update", _Update(network.filter_optimizer, iterations))

    def __call__(self, filters: torch.Tensor, memory: FilterMemory) -> torch.Tensor:
        """Improve the filter (1, C, K, K) of one target; a new tensor."""
        samples = (memory.features, *memory.maps, memory.sample_weights)
        return self._run(filters, *(one[None] for one in samples))[0]


class _Update(nn.Module):
    """A filter (1, C, K, K), and samples, maps and weights of a memory (1, I, 1, ...) -> the filter after all steps."""

    def __init__(self, optimizer: FilterOptimizer, iterations: int) -> None:
        super().__init__()
        self._optimizer, self._iterations = optimizer, iterations

    def forward(self, filters: torch.Tensor, *samples: torch.Tensor) -> torch.Tensor:
        features, label, mask, weight, sample_weights = (one[0] for one in samples)
        maps = SampleMaps(label, mask, weight)
        last: torch.Tensor = self._optimizer(filters, features, maps, self._iterations, sample_weights)[-1]
        return last


def compile_frame(network: InferenceNetwork, config: TrackerConfig, settings: FrameSettings) -> CompiledFrame | None:
    """A frame as one piece; None where the engine does not compile, or boxes are refined in many small steps.

    Args:
        network: The network prepared for inference.
        config: The parameters, whose fixed fields say how boxes are found.
        settings: What shapes the computation.
    """
    direct = config.use_iou_net
    if not network.engine.compiles or (direct and config.box_method != "direct"):
        return None
    return CompiledFrame(network, settings, direct)
