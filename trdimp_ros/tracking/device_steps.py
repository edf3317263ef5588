"""The device's side of a tracker: buffers whose addresses do not change, and the steps that work on them.

Every step reads what the host has uploaded and what earlier steps have left in the buffers; none waits for the host,
and all shapes are fixed. So each can be recorded as a CUDA graph.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple

import torch

from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.models.target_filter import score_size
from trdimp_ros.models.transformer import EncodedMemory
from trdimp_ros.tracking.box_stage import box_stage
from trdimp_ros.tracking.compiled_steps import CompiledFrame, CompiledUpdate, compile_frame
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.crop_uploads import crop_upload
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.first_frame import LearnedTarget
from trdimp_ros.tracking.frame_pass import (
    DeviceInputs,
    FrameOutput,
    LearnedModels,
    StageHook,
    locate_frame,
    no_stage,
)
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.graphs import GraphRunner
from trdimp_ros.tracking.host_inputs import (
    FrameInputs,
    FrameUpload,
    ParameterInputs,
    ParameterUpload,
    UpdateInputs,
    UpdateUpload,
    parameter_inputs,
)
from trdimp_ros.tracking.template_memory import TemplateMemory, TemplateStep, encoded_memory
from trdimp_ros.tracking.uploads import rows

_logger = logging.getLogger(__name__)


class TargetMemories(NamedTuple):
    """The frames that are remembered of one target.

    Attributes:
        samples: The frames that the target filter is trained on.
        templates: The frames that the transformer attends to.
    """

    samples: FilterMemory
    templates: TemplateMemory


class LocatedOutput(NamedTuple):
    """Where the features lie that a target was located with last.

    Attributes:
        targets: The indices of the targets that were located together.
        settings: The settings that they were located with.
        output: The result for all of them.
        row: The target's row in it.
    """

    targets: range
    settings: FrameSettings
    output: FrameOutput
    row: int


class DeviceSteps:
    """Buffers and steps for several targets, which have the indices 0, 1, ...

    Args:
        network: The network prepared for inference.
        config: The parameters, whose fixed fields give the sizes.
        max_targets: The number of targets that there is room for.
        graphs: Whether to record CUDA graphs where the device has them, and to locate in one piece where the engine
            compiles.

    Attributes:
        stage: Called with the name of each stage when its work has been issued, where nothing is recorded.
        crops: Upload of the search areas: of the first target at all scales, then of the second, and so on.
        frames: Upload of what the host decides for locating.
        updates: Upload of what the host decides for learning.
        filters: The target filters (T, C, K, K) float32.
        encoded: The template frames that the decoder attends to, batch size T.
    """

    def __init__(self, network: InferenceNetwork, config: TrackerConfig, max_targets: int, graphs: bool) -> None:
        self.stage: StageHook = no_stage
        self._network = network
        device, sizes, side = network.device, network.config, config.image_sample_size
        self._cells = side // STRIDE
        self._score_size = score_size((self._cells, self._cells), sizes.filter_size)
        scales = len(config.scale_factors)
        # What an engine compiles differs from torch's numbers in the last digits as it is.
        self.crops = crop_upload(max_targets * scales, side, device, quick=network.engine.compiles)
        self.frames = FrameUpload(
            FrameInputs, device, max_targets, scales=scales, candidates=config.num_init_random_boxes
        )
        self.updates = UpdateUpload(UpdateInputs, device, max_targets, samples=config.sample_memory_size)
        self._parameters = ParameterUpload(ParameterInputs, device)
        self.filters = torch.zeros(
            max_targets, sizes.feature_channels, sizes.filter_size, sizes.filter_size, device=device
        )
        self.encoded = encoded_memory(
            max_targets, config.template_frames, self._cells**2, network.transformer, device, network.dtype
        )
        self.box_stage = box_stage(network, config, max_targets)
        self._memories: list[TargetMemories] = []
        self._located: dict[int, LocatedOutput] = {}
        self._runner = GraphRunner(device, graphs)
        self._compiled_frames: dict[FrameSettings, CompiledFrame] = {}
        self._compiled_updates: dict[int, CompiledUpdate] = {}
        self.set_config(config)
        if network.engine.compiles:
            self._compile(graphs)

    @property
    def uses_graphs(self) -> bool:
        """Whether steps are recorded as CUDA graphs."""
        return self._runner.enabled

    def set_config(self, config: TrackerConfig) -> None:
        """Use other parameters; the fixed ones must be the same."""
        self._config = config
        self._parameters.fill(parameter_inputs(config))
        self._parameters.send()

    def memories(self, index: int) -> TargetMemories:
        """The memories of one target; they take their room on the device when first asked for."""
        while len(self._memories) <= index:
            self._memories.append(self._new_memories(len(self._memories)))
        return self._memories[index]

    def set_target(self, index: int, learned: LearnedTarget) -> None:
        """Copy in what the first frame has taught of a new target."""
        samples, templates = self.memories(index)
        samples.reset(learned.decoded, learned.maps)
        templates.copy_from(learned.templates)
        self.filters[index].copy_(learned.filters[0])
        if self.box_stage is not None and learned.box_reference is not None:
            self.box_stage.set_reference(index, learned.box_reference)
        self._located.pop(index, None)

    def copy_target(self, source: int, destination: int) -> None:
        """Copy all that has been learned of the target at one index to another index."""
        self.filters[destination].copy_(self.filters[source])
        if self.box_stage is not None:
            self.box_stage.copy_target(source, destination)
        mine, theirs = self.memories(destination), self.memories(source)
        mine.samples.copy_from(theirs.samples)
        mine.templates.copy_from(theirs.templates)
        self._located.pop(destination, None)

    def locate(self, targets: range) -> FrameOutput:
        """Find the targets of these indices in the uploaded search areas."""
        settings = self._settings(targets)
        output = self._runner.run(self._locate, targets, settings)
        for row, index in enumerate(targets):
            self._located[index] = LocatedOutput(targets, settings, output, row)
        return output

    def learn_sample(self, index: int, iterations: int) -> None:
        """Store the located frame in a target's filter memory and improve its filter by this many steps."""
        located = self._located[index]
        self._runner.run(self._learn_sample, index, iterations, located.targets, located.settings)

    def learn_template(self, index: int) -> None:
        """Store the located frame in a target's template memory, all whose steps must have been run."""
        located = self._located[index]
        self._runner.run(self._learn_template, index, located.targets, located.settings)

    def run_template_step(self, index: int, step: TemplateStep) -> None:
        """Do a step of the work for the frame that was stored last in a target's template memory."""
        self._runner.run(self._run_template_step, index, step)

    @torch.inference_mode()
    def _compile(self, whole: bool) -> None:
        """Look for a target where there is none, so that the first frame need not wait for what the engine compiles.

        The stages are compiled in any case: new targets and the search for lost ones need them, and so do frames when
        a parameter that shapes them has been changed, which cannot wait for another compilation.
        """
        self.memories(0)
        self.locate(range(1))
        frame = compile_frame(self._network, self._config, self._settings(range(1))) if whole else None
        if frame is not None:
            try:
                self._compile_whole(frame)
            except ValueError as error:
                self._compiled_frames.clear()
                self._compiled_updates.clear()
                _logger.warning("frames are computed in pieces, which takes longer: %s", error)
        self.filters.zero_()
        self._located.clear()

    def _compile_whole(self, frame: CompiledFrame) -> None:
        """Have a frame, and the filter's regular update, compiled by using them.

        A single step, as in a frame with a distractor, is not worth the wait for its compilation.

        Raises:
            ValueError: if this version of the engine cannot.
        """
        self._compiled_frames[self._settings(range(1))] = frame
        self.locate(range(1))
        iterations = self._config.net_opt_update_iter
        if iterations > 1:
            self._compiled_updates[iterations] = CompiledUpdate(self._network, iterations)
            self._update_filter(0, iterations)

    @property
    def _told(self) -> StageHook:
        """A hook may wait for the device, which a recording does not bear, and a replay would not call it."""
        return no_stage if self._runner.enabled else self.stage

    def _settings(self, targets: range) -> FrameSettings:
        """Template frames that never come need not be attended to: without updates there are only the first ones."""
        config = self._config
        frames = config.template_frames
        if config.transformer_skipping == 0:
            most = max(len(self.memories(index).templates) for index in targets)
            frames = config.initial_samples if most <= config.initial_samples else frames
        return FrameSettings.from_config(config, self._network.config.filter_size, frames)

    def _new_memories(self, index: int) -> TargetMemories:
        config, cells = self._config, self._cells
        feature_shape = (cells, cells, self._network.config.feature_channels)
        samples = FilterMemory(config.sample_memory_size, feature_shape, self._score_size, self._network.device)
        keys, values = (buffer[index : index + 1] for buffer in (self.encoded.keys, self.encoded.values))
        templates = TemplateMemory(self._network.transformer, EncodedMemory(keys, values), config.template_frames)
        return TargetMemories(samples, templates)

    def _locate(self, targets: range, settings: FrameSettings) -> FrameOutput:
        first, stop = targets.start, targets.stop
        scales, tokens = len(self._config.scale_factors), settings.attended_frames * self._cells**2
        inputs = DeviceInputs(
            patches=self.crops.patches(first * scales, stop * scales),
            frame=rows(self.frames.tensors, first, stop),
            parameters=self._parameters.tensors,
        )
        models = LearnedModels(
            filters=self.filters[first:stop],
            memory=EncodedMemory(self.encoded.keys[first:stop, :tokens], self.encoded.values[first:stop, :tokens]),
            box_stage=self.box_stage,
            first=first,
        )
        if settings in self._compiled_frames:
            output = self._compiled_frames[settings](models, inputs)
            self._told("compiled frame")
            return output
        return locate_frame(self._network, models, inputs, settings, self._told)

    def _learn_sample(self, index: int, iterations: int, targets: range, settings: FrameSettings) -> None:
        """``targets`` and ``settings`` say which recording of `_locate` has left the features."""
        located, update = self._located[index], rows(self.updates.tensors, index, index + 1)
        optimizer, memory = self._network.filter_optimizer, self._memories[index].samples
        maps = optimizer.sample_maps(update.box, self._score_size)
        decoded = located.output.decoded[located.row, None]
        memory.store(update.sample_slot[0].long(), decoded, maps, update.sample_weights[0])
        self._told("filter memory")
        if iterations:
            self._update_filter(index, iterations)
            self._told("filter update")

    def _update_filter(self, index: int, iterations: int) -> None:
        filters, memory = self.filters[index, None], self._memories[index].samples
        if iterations in self._compiled_updates:
            filters.copy_(self._compiled_updates[iterations](filters, memory))
            return
        optimizer = self._network.filter_optimizer
        steps = optimizer(filters, memory.features, memory.maps, iterations, memory.sample_weights)
        filters.copy_(steps[-1])

    def _learn_template(self, index: int, targets: range, settings: FrameSettings) -> None:
        """See `_learn_sample`."""
        located, update = self._located[index], rows(self.updates.tensors, index, index + 1)
        side, cells = settings.image_sample_size, self._cells
        mask = gaussian_label(update.box, (cells, cells), (side, side), settings.filter_size)
        tokens = located.output.feature[located.row, None].flatten(1, 2)
        self._memories[index].templates.store(update.template_slot[0].long(), tokens, mask.flatten(1))

    def _run_template_step(self, index: int, step: TemplateStep) -> None:
        leaving = self.updates.tensors.template_slot[index].long()
        self._memories[index].templates.run_step(step, leaving)


def consecutive(indices: Iterable[int]) -> list[range]:
    """Ascending indices as ranges without gaps, as few as possible."""
    ranges: list[range] = []
    for index in indices:
        if ranges and ranges[-1].stop == index:
            ranges[-1] = range(ranges[-1].start, index + 1)
        else:
            ranges.append(range(index, index + 1))
    return ranges
