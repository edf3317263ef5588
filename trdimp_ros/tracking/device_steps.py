"""The device's side of a tracker: buffers that keep their place in memory, and the steps that work on them.

Every step reads what the host has uploaded and what earlier steps have left in the buffers; none waits for the host,
and all shapes are fixed. So each can be recorded as a CUDA graph.
"""

from __future__ import annotations

import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.models.target_filter import score_size
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.frame_exchange import CropUpload, FrameNumbers, NumberUpload, number_shapes
from trdimp_ros.tracking.frame_pass import FrameOutput, StageHook, TargetModel, locate_frame, no_stage
from trdimp_ros.tracking.graphs import GraphRunner
from trdimp_ros.tracking.localization import hann_window
from trdimp_ros.tracking.template_memory import TemplateMemory


class DeviceSteps:
    """Buffers and steps for one target.

    Args:
        network: Prepared for inference, on the device.
        config: Only its fixed fields are read.
        device: Where everything is.
        dtype: Of backbone and attention.
        graphs: Whether to record CUDA graphs where the device has them.

    Attributes:
        crops: Upload of the search areas' pixels.
        numbers: Upload of `FrameNumbers`.
        lesson: Upload of what `learn_sample` and `learn_template` need: ``box`` (4,) of the target in the search area,
            ``slot`` (1,) of the filter memory and its ``sample_weights`` (M,), ``template_slot`` (1,).
        model: What has been learned of the target.
        filter_memory: Of the target.
        template_memory: Of the target.
    """

    def __init__(
        self, network: TrDiMPNet, config: TrackerConfig, device: torch.device, dtype: torch.dtype, graphs: bool
    ) -> None:
        self._network, self._config, self._device, self._dtype = network, config, device, dtype
        sizes, side = network.config, config.image_sample_size
        self._cells = side // STRIDE
        scales = len(config.scale_factors)
        self.crops = CropUpload(scales, side, device)
        self.numbers = NumberUpload(number_shapes(scales, side, config.num_init_random_boxes), device)
        capacity = config.sample_memory_size
        self.lesson = NumberUpload(
            {"box": (1, 4), "slot": (1,), "sample_weights": (capacity, 1), "template_slot": (1,)}, device
        )
        self._score_size = score_size((self._cells, self._cells), sizes.filter_size)
        windowed = config.window_output and config.perform_hn_without_windowing
        self._window = hann_window(self._score_size, device) if windowed else None
        self.filter_memory = FilterMemory(
            capacity, (self._cells, self._cells, sizes.feature_channels), self._score_size, device
        )
        self.template_memory = TemplateMemory(
            network.classifier.transformer,
            config.template_frames,
            self._cells**2,
            sizes.feature_channels,
            sizes.key_channels,
            device,
            dtype,
        )
        filters = torch.zeros(1, sizes.feature_channels, sizes.filter_size, sizes.filter_size, device=device)
        self.model = TargetModel(filters, self.template_memory.encoded, None)
        self._runner = GraphRunner(device, graphs)
        self._output: FrameOutput | None = None
        self._variant = (False, False, False)

    @property
    def uses_graphs(self) -> bool:
        """Whether steps are recorded as CUDA graphs."""
        return self._runner.enabled

    def set_target(self, filters: torch.Tensor, modulation: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        """Take a new target's filter (1, C, K, K) and box reference."""
        self.model.filters.copy_(filters)
        if modulation is None:
            return
        if self.model.scorer is None:
            self.model.scorer = BoxScorer(self._network.bb_regressor, modulation, self._dtype)
        else:
            self.model.scorer.set_modulation(modulation)

    def locate(self, stage: StageHook) -> FrameOutput:
        """Find the target in the uploaded search areas; stages are told only where nothing is recorded."""
        stage = self._unless_recorded(stage)
        numbers = FrameNumbers(**self.numbers.tensors)
        config = self._config
        # What of the parameters that may change shapes the computation and not only its numbers.
        self._variant = (
            config.advanced_localization,
            config.update_scale_when_uncertain,
            config.use_iounet_pos_for_learning,
        )
        self._output = self._runner.run(
            ("locate", self._variant),
            lambda: locate_frame(
                self._network, self.model, self.crops.pixels, numbers, self._window, self._config, self._dtype, stage
            ),
        )
        return self._output

    def set_config(self, config: TrackerConfig) -> None:
        """Use other parameters; the fixed ones must be the same."""
        self._config = config

    def learn_sample(self, iterations: int, stage: StageHook) -> None:
        """Store the located frame in the filter memory and improve the filter by this many steps."""
        stage = self._unless_recorded(stage)
        self._runner.run(("sample", iterations, self._variant), lambda: self._learn_sample(iterations, stage))

    def learn_template(self) -> None:
        """Store the located frame in the template memory."""
        self._runner.run(("template", self._variant), self._learn_template)

    def _unless_recorded(self, stage: StageHook) -> StageHook:
        """A hook may wait for the device, which a recording does not bear, and a replay would not call it."""
        return no_stage if self._runner.enabled else stage

    def _learn_sample(self, iterations: int, stage: StageHook) -> None:
        assert self._output is not None
        optimizer, memory = self._network.classifier.filter_optimizer, self.filter_memory
        numbers = self.lesson.tensors
        maps = optimizer.sample_maps(numbers["box"], self._score_size)
        memory.store(numbers["slot"].long(), self._output.decoded, maps, numbers["sample_weights"])
        stage("filter memory")
        if iterations:
            steps = optimizer(self.model.filters, memory.features, memory.maps, iterations, memory.sample_weights)
            self.model.filters.copy_(steps[-1])
            stage("filter update")

    def _learn_template(self) -> None:
        assert self._output is not None
        side, cells = self._config.image_sample_size, self._cells
        box = self.lesson.tensors["box"]
        mask = gaussian_label(box, (cells, cells), (side, side), self._network.config.filter_size)
        slot = self.lesson.tensors["template_slot"].long()
        self.template_memory.store(slot, self._output.feature.flatten(1, 2), mask.flatten(1))
