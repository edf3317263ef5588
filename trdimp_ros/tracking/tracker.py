"""The tracker: initialise with an image and a box, then give it one image after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.models.target_filter import SampleMaps, score_size
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import plan_crop, read_crop, resample, tap_tensors
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.first_frame import first_filter, learn_first_frame, look_at_first_frame
from trdimp_ros.tracking.frame_exchange import FrameDecision, FrameScalars, config_scalars
from trdimp_ros.tracking.frame_pass import FrameOutput, StageHook, TargetModel, locate_frame
from trdimp_ros.tracking.geometry import (
    Box,
    Pair,
    box_at,
    centered_sample_position,
    check_image,
    check_init_box,
    initial_scale,
    position_and_size,
    sample_box,
    sample_location,
    scale_bounds,
)
from trdimp_ros.tracking.localization import State, hann_window
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.template_memory import TemplateMemory


@dataclass(frozen=True)
class _Located:
    """What `learn` needs of the frame that `locate` has seen."""

    decision: FrameDecision
    output: FrameOutput
    sample_position: Pair
    sample_scale: float


def _no_stage(name: str) -> None:
    """The stage hook of a tracker that is not measured."""


class Tracker:
    """Tracks one target (TrDiMP, Wang et al., CVPR 2021).

    A frame has two steps, so that a caller can use the box between them: `locate` finds the target, `learn` updates
    what is known of it. `track` does both.

    Args:
        network: With its weights; it is copied and not changed.
        config: Parameters; None: the preset ``trdimp``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or a torch device.
        dtype: Precision of backbone and attention: torch.float32, torch.bfloat16 or torch.float16.
        seed: Of all random numbers.

    Attributes:
        target: Where the target is; None before `initialize`.
        random: Source of all random numbers.
        stage: Called at the end of each stage of the work with its name; for measuring.
    """

    def __init__(
        self,
        network: TrDiMPNet,
        config: TrackerConfig | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
    ) -> None:
        self._config = config or TrackerConfig()
        self._device = torch.device(device)
        self._dtype = dtype
        self._network = prepare_for_inference(network, self._device, dtype)
        self.random = RandomSource(seed)
        self.stage: StageHook = _no_stage
        self.target: TargetState | None = None
        self._model: TargetModel | None = None
        self._located: _Located | None = None
        self._jitter: torch.Tensor | None = None
        self._score_map: torch.Tensor | None = None

        sizes, cells = network.config, self._config.image_sample_size // STRIDE
        self._score_size = score_size((cells, cells), sizes.filter_size)
        self._window = hann_window(self._score_size, self._device) if self._windowed else None
        self.filter_memory = FilterMemory(
            self._config.sample_memory_size, (cells, cells, sizes.feature_channels), self._score_size, self._device
        )
        self.template_memory = TemplateMemory(
            self._network.classifier.transformer,
            self._config.template_frames,
            cells * cells,
            sizes.feature_channels,
            sizes.key_channels,
            self._device,
            dtype,
        )

    @property
    def _windowed(self) -> bool:
        return self._config.window_output and self._config.perform_hn_without_windowing

    @property
    def config(self) -> TrackerConfig:
        """The parameters in force. Assigning takes effect on the next frame.

        Raises:
            ValueError: on assignment, when a field differs that cannot change in a running tracker.
        """
        return self._config

    @config.setter
    def config(self, config: TrackerConfig) -> None:
        fixed = self._config.fixed_differences(config)
        if fixed:
            raise ValueError(f"{', '.join(fixed)} cannot change in a running tracker; build a new Tracker")
        self._config = config

    @property
    def filters(self) -> torch.Tensor:
        """The target filter (1, C, K, K).

        Raises:
            ValueError: before `initialize`.
        """
        return self._initialized()[1].filters

    def reset(self) -> None:
        """Forget the target."""
        self.target = self._model = self._located = self._jitter = self._score_map = None

    @torch.inference_mode()
    def initialize(self, image: NDArray[np.uint8], box: Sequence[float]) -> None:
        """Learn a target. A target learned before is forgotten, unless the arguments are refused.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: x, y, w, h in image pixels.

        Raises:
            ValueError: for an image or a box that cannot be used; the tracker is then unchanged.
        """
        image = check_image(image)
        checked = check_init_box(box, image.shape[:2])
        config, network = self._config, self._network
        position, size = position_and_size(checked)
        scale = initial_scale(size, config.search_area_scale, config.image_sample_size)

        self.reset()
        frame = look_at_first_frame(image, position, size, float(scale), config, self.random)
        learned = learn_first_frame(network, frame, config, self.random, self._dtype)
        tokens = learned.features.flatten(1, 2)
        self.template_memory.reset(tokens, learned.masks.flatten(1))
        transformer = network.classifier.transformer
        memory = self.template_memory.encoded_in_use
        decoded = torch.cat([transformer.decode(one[None], memory) for one in tokens])
        decoded = decoded.view(learned.features.shape).float()
        filters, maps = first_filter(network, decoded, learned.boxes, config.net_opt_iter)
        self.filter_memory.reset(decoded, maps)
        scorer = (
            None if learned.modulation is None else BoxScorer(network.bb_regressor, learned.modulation, self._dtype)
        )

        self._model = TargetModel(filters, self.template_memory.encoded, scorer)
        self.target = TargetState(position, size, scale, (size / scale).astype(np.float32))

    def track(self, image: NDArray[np.uint8]) -> TrackResult:
        """Find the target in the next image and learn from it; see `locate` and `learn`."""
        result = self.locate(image)
        self.learn()
        return result

    @torch.inference_mode()
    def locate(self, image: NDArray[np.uint8]) -> TrackResult:
        """Find the target in the next image: all that a control loop waits for.

        Args:
            image: (H, W, 3) uint8 RGB; its size may differ from the last one's.

        Raises:
            ValueError: for an image that cannot be used, or before `initialize`; the tracker is then unchanged.
        """
        image = check_image(image)
        target, model = self._initialized()
        image_size = image.shape[:2]
        patches, coordinates = self._search_areas(image, target)
        locations = [sample_location(one, self._config.image_sample_size) for one in coordinates]
        scalars = FrameScalars.upload(
            {
                "position": target.position,
                "size": target.size,
                "scale": np.asarray([target.scale], np.float32),
                "base_size": target.base_size,
                "scale_bounds": np.asarray(scale_bounds(target.base_size, image_size), np.float32),
                "image_size": np.asarray(image_size, np.float32),
                "sample_positions": np.stack([position for position, _ in locations]),
                "sample_scales": np.asarray([scale for _, scale in locations], np.float32),
                **config_scalars(self._config),
            },
            self._device,
        )
        self.stage("crop")
        if self._jitter is None:
            self._jitter = self.random.jitter(self._config.num_init_random_boxes).to(self._device)
        output = locate_frame(
            self._network, model, patches, scalars, self._jitter, self._window, self._config, self._dtype, self.stage
        )
        decision = FrameDecision.from_packed(output.decision.cpu().numpy())
        if not decision.finite:  # half precision that overflowed, or weights that are no numbers
            decision = decision.lost(target.position, target.size, target.scale)
        self.stage("decision")

        target.frame_number += 1
        target.position, target.size, target.scale = decision.position, decision.size, decision.scale
        if decision.state != State.NOT_FOUND:
            self._jitter = None
        sample_position, sample_scale = locations[decision.scale_index]
        self._located = _Located(decision, output, sample_position, float(sample_scale))
        self._score_map = output.score_map
        top, left, bottom, right = coordinates[decision.scale_index]
        return TrackResult(
            box=box_at(target.position, target.size),
            confidence=decision.confidence,
            state=decision.state,
            search_area=Box(left, top, right - left, bottom - top),
        )

    @torch.inference_mode()
    def learn(self) -> None:
        """Learn from the frame that was located last, if it is to be trusted: update both memories and the filter.

        Raises:
            ValueError: before `initialize`.
        """
        target, model = self._initialized()
        located, self._located = self._located, None
        if located is None or located.decision.state in (State.NOT_FOUND, State.UNCERTAIN):
            return
        config, network, decision = self._config, self._network, located.decision
        distractor = decision.state == State.HARD_NEGATIVE
        box = torch.from_numpy(self._learned_box(located))[None].to(self._device)
        self.filter_memory.insert(
            located.output.decoded,
            network.classifier.filter_optimizer.sample_maps(box, self._score_size),
            config.hard_negative_learning_rate if distractor else config.learning_rate,
            config.init_samples_minimum_weight,
        )
        self.stage("filter memory")
        iterations = self._filter_iterations(decision, target.frame_number)
        if iterations:
            memory = self.filter_memory
            maps = SampleMaps(*memory.maps)
            optimizer = network.classifier.filter_optimizer
            steps = optimizer(model.filters, memory.features, maps, iterations, memory.sample_weights)
            model.filters.copy_(steps[-1])
            self.stage("filter update")
        skipping = config.transformer_skipping
        if skipping and (target.frame_number - 1) % skipping == 0:
            sample, cells = config.image_sample_size, config.image_sample_size // STRIDE
            mask = gaussian_label(box, (cells, cells), (sample, sample), network.config.filter_size)
            self.template_memory.insert(located.output.feature.flatten(1, 2), mask.flatten(1))
            self.stage("template memory")

    @property
    def has_score_map(self) -> bool:
        """Whether a frame has been located since `initialize`."""
        return self._score_map is not None

    def score_map(self) -> NDArray[np.float32]:
        """The score map (rows, columns) of the frame located last.

        Raises:
            ValueError: before the first `locate`.
        """
        if self._score_map is None:
            raise ValueError("there is no score map before the first frame has been located")
        return self._score_map.float().cpu().numpy().copy()

    def _initialized(self) -> tuple[TargetState, TargetModel]:
        if self.target is None or self._model is None:
            raise ValueError("the tracker has no target; call initialize(image, box) first")
        return self.target, self._model

    def _search_areas(
        self, image: NDArray[np.uint8], target: TargetState
    ) -> tuple[torch.Tensor, list[tuple[int, int, int, int]]]:
        """The network's input (N, 3, S, S), 0..255, for N scales, and where each comes from."""
        config = self._config
        sample = config.image_sample_size
        center = centered_sample_position(
            target.position, float(target.scale), sample, sample // STRIDE, self._network.config.filter_size
        )
        patches, coordinates = [], []
        for factor in config.scale_factors:
            crop_size = np.full(2, target.scale * np.float32(factor) * np.float32(sample), np.float32)
            plan = plan_crop(
                image.shape[:2],
                center,
                crop_size,
                (sample, sample),
                config.border_mode,
                config.patch_max_scale_change,
            )
            crop = read_crop(image, plan, (sample, sample))
            pixels = torch.from_numpy(np.array(crop.pixels, order="C"))  # a copy: the caller may reuse the image
            taps = [*tap_tensors(crop.rows), *tap_tensors(crop.columns)]
            patches.append(resample(*(tensor.to(self._device, non_blocking=True) for tensor in (pixels, *taps))))
            coordinates.append(plan.coordinates)
        return torch.cat(patches), coordinates

    def _learned_box(self, located: _Located) -> Pair:
        """The target's box in the search area of the located frame."""
        decision, sample = located.decision, self._config.image_sample_size
        return sample_box(decision.learn_position, decision.size, located.sample_position, located.sample_scale, sample)

    def _filter_iterations(self, decision: FrameDecision, frame_number: int) -> int:
        config = self._config
        if decision.state == State.HARD_NEGATIVE:
            return config.net_opt_hn_iter
        if decision.confidence < config.low_score_opt_threshold:
            return config.net_opt_low_iter
        if (frame_number - 1) % config.train_skipping == 0:
            return config.net_opt_update_iter
        return 0
