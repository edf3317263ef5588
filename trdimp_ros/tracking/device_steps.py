"""The device's side of a tracker: buffers that keep their place in memory, and the steps that work on them.

Every step reads what the host has uploaded and what earlier steps have left in the buffers; none waits for the host,
and all shapes are fixed. So each can be recorded as a CUDA graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.models.target_filter import score_size
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.frame_exchange import (
    PARAMETER_SHAPES,
    CropUpload,
    FrameNumbers,
    NumberUpload,
    ParameterNumbers,
    number_shapes,
    parameter_values,
)
from trdimp_ros.tracking.frame_pass import FrameOutput, StageHook, TargetModels, locate_frame, no_stage
from trdimp_ros.tracking.graphs import GraphRunner
from trdimp_ros.tracking.localization import hann_window
from trdimp_ros.tracking.template_memory import TemplateMemory, encoded_memory


class TargetMemories(NamedTuple):
    """The frames that are remembered of one target.

    Attributes:
        samples: That the target filter is trained on.
        templates: That the transformer attends to.
    """

    samples: FilterMemory
    templates: TemplateMemory


class DeviceSteps:
    """Buffers and steps for several targets, which have the places 0, 1, ... without gaps.

    Args:
        network: Prepared for inference, on the device.
        config: Its fixed fields give the sizes.
        max_targets: Places.
        device: Where everything is.
        dtype: Of backbone and attention.
        graphs: Whether to record CUDA graphs where the device has them.

    Attributes:
        crops: Upload of the search areas' pixels: of the first target at all scales, then of the second, and so on.
        numbers: Upload of `FrameNumbers`.
        lessons: Upload of what `learn_sample` and `learn_template` need, for each target: ``box`` (4,) of it in its
            search area, ``slot`` (1,) of the filter memory and its ``sample_weights`` (M, 1), ``template_slot`` (1,).
        models: What has been learned of the targets.
    """

    def __init__(
        self,
        network: TrDiMPNet,
        config: TrackerConfig,
        max_targets: int,
        device: torch.device,
        dtype: torch.dtype,
        graphs: bool,
    ) -> None:
        self._network, self._device, self._dtype = network, device, dtype
        sizes, side = network.config, config.image_sample_size
        self._cells = side // STRIDE
        self._score_size = score_size((self._cells, self._cells), sizes.filter_size)
        scales = len(config.scale_factors)
        self.crops = CropUpload(max_targets * scales, side, device)
        self.numbers = NumberUpload(number_shapes(max_targets, scales, side, config.num_init_random_boxes), device)
        lesson = {"box": (4,), "slot": (1,), "sample_weights": (config.sample_memory_size, 1), "template_slot": (1,)}
        self.lessons = NumberUpload({name: (max_targets, *shape) for name, shape in lesson.items()}, device)
        self._parameters = NumberUpload(PARAMETER_SHAPES, device)
        self.set_config(config)
        windowed = config.window_output and config.perform_hn_without_windowing
        self._window = hann_window(self._score_size, device) if windowed else None
        transformer = network.classifier.transformer
        self.models = TargetModels(
            torch.zeros(max_targets, sizes.feature_channels, sizes.filter_size, sizes.filter_size, device=device),
            encoded_memory(max_targets, config.template_frames, self._cells**2, transformer, device, dtype),
            BoxScorer(network.bb_regressor, max_targets, dtype) if config.use_iou_net else None,
        )
        self._memories: list[TargetMemories] = []
        self._runner = GraphRunner(device, graphs)
        self._output: FrameOutput | None = None
        self._variant: tuple[int | bool, ...] = ()

    @property
    def uses_graphs(self) -> bool:
        """Whether steps are recorded as CUDA graphs."""
        return self._runner.enabled

    def set_config(self, config: TrackerConfig) -> None:
        """Use other parameters; the fixed ones must be the same."""
        self._config = config
        self._parameters.fill(parameter_values(config))
        self._parameters.send()

    def memories(self, place: int) -> TargetMemories:
        """The memories of one target; they take their room on the device when first asked for."""
        while len(self._memories) <= place:
            self._memories.append(self._new_memories(len(self._memories)))
        return self._memories[place]

    def set_target(
        self, place: int, filters: torch.Tensor, modulation: tuple[torch.Tensor, torch.Tensor] | None
    ) -> None:
        """Take a new target's filter (1, C, K, K) and box reference."""
        self.models.filters[place].copy_(filters[0])
        if self.models.scorer is not None and modulation is not None:
            self.models.scorer.set_modulation(place, modulation)

    def copy_target(self, source: int, destination: int) -> None:
        """Give the target in one place another one too."""
        self.models.filters[destination].copy_(self.models.filters[source])
        if self.models.scorer is not None:
            self.models.scorer.copy_target(source, destination)
        mine, theirs = self.memories(destination), self.memories(source)
        mine.samples.copy_from(theirs.samples)
        mine.templates.copy_from(theirs.templates)

    def locate(self, targets: int, stage: StageHook) -> FrameOutput:
        """Find the first targets in the uploaded search areas; stages are told only where nothing is recorded."""
        stage, config = self._unless_recorded(stage), self._config
        crops = self.crops.pixels[: targets * len(config.scale_factors)]
        numbers, models = FrameNumbers(**self.numbers.tensors).first(targets), self.models.first(targets)
        parameters = ParameterNumbers(**self._parameters.tensors)
        # What of the parameters that may change shapes the computation and not only its numbers.
        self._variant = (
            targets,
            config.advanced_localization,
            config.update_scale_when_uncertain,
            config.use_iounet_pos_for_learning,
        )
        self._output = self._runner.run(
            ("locate", self._variant),
            lambda: locate_frame(
                self._network, models, crops, numbers, parameters, self._window, config, self._dtype, stage
            ),
        )
        return self._output

    def learn_sample(self, place: int, iterations: int, stage: StageHook) -> None:
        """Store the located frame in a target's filter memory and improve its filter by this many steps."""
        stage = self._unless_recorded(stage)
        key = ("sample", place, iterations, self._variant)
        self._runner.run(key, lambda: self._learn_sample(place, iterations, stage))

    def learn_template(self, place: int) -> None:
        """Store the located frame in a target's template memory, from which `retire_template` has been finished."""
        self._runner.run(("template", place, self._variant), lambda: self._learn_template(place))

    def retire_template(self, place: int, part: int) -> None:
        """Prepare one part of a target's template memory for the frame that leaves it next."""
        slot = self.lessons.tensors["template_slot"][place]
        templates = self._memories[place].templates
        self._runner.run(("retire", place, part), lambda: templates.retire(slot.long(), part))

    def _unless_recorded(self, stage: StageHook) -> StageHook:
        """A hook may wait for the device, which a recording does not bear, and a replay would not call it."""
        return no_stage if self._runner.enabled else stage

    def _new_memories(self, place: int) -> TargetMemories:
        config, cells = self._config, self._cells
        feature_shape = (cells, cells, self._network.config.feature_channels)
        samples = FilterMemory(config.sample_memory_size, feature_shape, self._score_size, self._device)
        keys, values = (buffer[place : place + 1] for buffer in (self.models.memory.keys, self.models.memory.values))
        encoded, transformer = EncodedMemory(keys, values), self._network.classifier.transformer
        return TargetMemories(samples, TemplateMemory(transformer, encoded, config.template_frames))

    def _learn_sample(self, place: int, iterations: int, stage: StageHook) -> None:
        assert self._output is not None
        optimizer, memory = self._network.classifier.filter_optimizer, self._memories[place].samples
        lesson = {name: values[place] for name, values in self.lessons.tensors.items()}
        maps = optimizer.sample_maps(lesson["box"][None], self._score_size)
        memory.store(lesson["slot"].long(), self._output.decoded[place, None], maps, lesson["sample_weights"])
        stage("filter memory")
        if iterations:
            filters = self.models.filters[place, None]
            steps = optimizer(filters, memory.features, memory.maps, iterations, memory.sample_weights)
            filters.copy_(steps[-1])
            stage("filter update")

    def _learn_template(self, place: int) -> None:
        assert self._output is not None
        side, cells = self._config.image_sample_size, self._cells
        lesson = {name: values[place] for name, values in self.lessons.tensors.items()}
        mask = gaussian_label(lesson["box"][None], (cells, cells), (side, side), self._network.config.filter_size)
        tokens = self._output.feature[place, None].flatten(1, 2)
        self._memories[place].templates.store(lesson["template_slot"].long(), tokens, mask.flatten(1))
