"""The tracker: initialise with an image and a box, then give it one image after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.cropping import plan_crop, read_crop, stacked_taps
from trdimp_ros.tracking.device_steps import DeviceSteps
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.first_frame import first_filter, learn_first_frame, look_at_first_frame
from trdimp_ros.tracking.frame_exchange import FrameDecision, config_numbers
from trdimp_ros.tracking.frame_pass import StageHook, no_stage
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
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.template_memory import TemplateMemory


@dataclass(frozen=True)
class _Located:
    """What `learn` needs of the frame that `locate` has seen."""

    decision: FrameDecision
    sample_position: Pair
    sample_scale: float


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
        graphs: Whether to use CUDA graphs on a GPU; without them every stage can be timed by itself.

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
        graphs: bool = True,
    ) -> None:
        self._config = config or TrackerConfig()
        self._device = torch.device(device)
        self._dtype = dtype
        self._network = prepare_for_inference(network, self._device, dtype)
        self.random = RandomSource(seed)
        self.stage: StageHook = no_stage
        self.target: TargetState | None = None
        self._steps = DeviceSteps(self._network, self._config, self._device, dtype, graphs)
        self._located: _Located | None = None
        self._jitter: NDArray[np.float32] | None = None
        self._score_map: torch.Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self._device

    @property
    def uses_graphs(self) -> bool:
        """Whether its work is recorded as CUDA graphs."""
        return self._steps.uses_graphs

    @property
    def filter_memory(self) -> FilterMemory:
        """The frames that the target filter is trained on."""
        return self._steps.filter_memory

    @property
    def template_memory(self) -> TemplateMemory:
        """The frames that the transformer attends to."""
        return self._steps.template_memory

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
        self._steps.set_config(config)

    @property
    def filters(self) -> torch.Tensor:
        """The target filter (1, C, K, K).

        Raises:
            ValueError: before `initialize`.
        """
        self._initialized()
        return self._steps.model.filters

    def reset(self) -> None:
        """Forget the target."""
        self.target = self._located = self._jitter = self._score_map = None

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
        self._steps.set_target(filters, learned.modulation)
        self.target = TargetState(position, size, scale, (size / scale).astype(np.float32), size, scale)

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
        target = self._initialized()
        coordinates = self._upload(image, target)
        self.stage("upload")
        output = self._steps.locate(self.stage)
        decision = FrameDecision.from_packed(output.decision.cpu().numpy())
        if not decision.finite:  # half precision that overflowed, or weights that are no numbers
            decision = decision.lost(target.position, target.size, target.scale)
        self.stage("decision")

        target.frame_number += 1
        target.position, target.size, target.scale = decision.position, decision.size, decision.scale
        self._remember_clear_view(target, decision)
        if decision.state != State.NOT_FOUND:
            self._jitter = None
        sample_position, sample_scale = sample_location(
            coordinates[decision.scale_index], self._config.image_sample_size
        )
        self._located = _Located(decision, sample_position, float(sample_scale))
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
        target = self._initialized()
        located, self._located = self._located, None
        if located is None or located.decision.state in (State.NOT_FOUND, State.UNCERTAIN):
            return
        config, decision = self._config, located.decision
        distractor = decision.state == State.HARD_NEGATIVE
        skipping = config.transformer_skipping
        remember = bool(skipping) and (target.frame_number - 1) % skipping == 0
        weights = self.filter_memory.weights
        slot = weights.add(
            config.hard_negative_learning_rate if distractor else config.learning_rate,
            config.init_samples_minimum_weight,
        )
        self._steps.lesson.send(
            {
                "box": self._learned_box(located),
                "slot": [slot],
                "sample_weights": weights.values,
                "template_slot": [self.template_memory.claim_slot() if remember else 0],
            }
        )
        self._steps.learn_sample(self._filter_iterations(decision, target.frame_number), self.stage)
        if remember:
            self._steps.learn_template()
            if self.template_memory.refresh_is_due():
                self.template_memory.refresh()
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

    def _initialized(self) -> TargetState:
        if self.target is None:
            raise ValueError("the tracker has no target; call initialize(image, box) first")
        return self.target

    def _upload(self, image: NDArray[np.uint8], target: TargetState) -> list[tuple[int, int, int, int]]:
        """Send the device all it needs of a frame; returns where the search areas are in the image, one per scale."""
        config, sample = self._config, self._config.image_sample_size
        center = centered_sample_position(
            target.position, float(target.scale), sample, sample // STRIDE, self._network.config.filter_size
        )
        coordinates, taps, widths = [], [], []
        for index, factor in enumerate(config.scale_factors):
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
            self._steps.crops.send(index, crop.pixels)
            coordinates.append(plan.coordinates)
            taps.append(np.concatenate([stacked_taps(crop.rows), stacked_taps(crop.columns)]))
            widths.append(crop.pixels.shape[1])
        locations = [sample_location(one, sample) for one in coordinates]
        if self._jitter is None:
            self._jitter = self.random.jitter(config.num_init_random_boxes).numpy()
        self._steps.numbers.send(
            {
                "position": target.position,
                "size": target.size,
                "scale": np.asarray([target.scale], np.float32),
                "base_size": target.base_size,
                "scale_bounds": np.asarray(scale_bounds(target.base_size, image.shape[:2]), np.float32),
                "image_size": np.asarray(image.shape[:2], np.float32),
                "sample_positions": np.stack([position for position, _ in locations]),
                "sample_scales": np.asarray([scale for _, scale in locations], np.float32),
                "uniform": self._jitter,
                "taps": np.stack(taps),
                "widths": widths,
                **config_numbers(config),
            }
        )
        return coordinates

    def _remember_clear_view(self, target: TargetState, decision: FrameDecision) -> None:
        """Keep the size of a target that is seen clearly; give it back to one that is lost."""
        threshold = self._config.clear_view_threshold
        if decision.state == State.NOT_FOUND:
            if threshold:
                target.size, target.scale = target.clear_size, target.clear_scale
        elif decision.confidence > threshold:
            target.clear_size, target.clear_scale = target.size, target.scale

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
