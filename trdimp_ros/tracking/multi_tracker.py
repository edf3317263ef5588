"""Several targets at once: their search areas go through the network together."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.device_steps import DeviceSteps, TargetMemories
from trdimp_ros.tracking.first_frame import first_filter, learn_first_frame, look_at_first_frame
from trdimp_ros.tracking.frame_exchange import FrameDecision
from trdimp_ros.tracking.frame_pass import StageHook, no_stage
from trdimp_ros.tracking.geometry import Coordinates, check_image, check_init_box, initial_scale, position_and_size
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.search_areas import find_search_areas
from trdimp_ros.tracking.target import (
    TargetState,
    TrackedTarget,
    TrackResult,
    enters_templates,
    filter_iterations,
    learned_box,
)


class MultiTracker:
    """Tracks several targets (TrDiMP, Wang et al., CVPR 2021), each as a `Tracker` of its own would.

    A frame has two steps, so that a caller can use the boxes between them: `locate` finds the targets, `learn` updates
    what is known of them. `track` does both.

    Args:
        network: With its weights; it is copied and not changed.
        config: Parameters; None: the preset ``trdimp``.
        max_targets: Room for so many targets is taken on the device.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or a torch device.
        dtype: Precision of backbone and attention: torch.float32, torch.bfloat16 or torch.float16.
        seed: Of every target's random numbers.
        graphs: Whether to use CUDA graphs on a GPU; without them every stage can be timed by itself.

    Attributes:
        device: Where it runs.
        stage: Called at the end of each stage of the work with its name; for measuring.

    Raises:
        ValueError: if max_targets is less than 1.
    """

    def __init__(
        self,
        network: TrDiMPNet,
        config: TrackerConfig | None = None,
        max_targets: int = 4,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        graphs: bool = True,
    ) -> None:
        if max_targets < 1:
            raise ValueError(f"max_targets must be at least 1, got {max_targets}")
        self.device = torch.device(device)
        self.stage: StageHook = no_stage
        self._config = config or TrackerConfig()
        self._max_targets = max_targets
        self._dtype, self._seed = dtype, seed
        self._network = prepare_for_inference(network, self.device, dtype)
        self._steps = DeviceSteps(self._network, self._config, max_targets, self.device, dtype, graphs)
        self._tracked: list[TrackedTarget] = []  # in the order of their places on the device

    @property
    def uses_graphs(self) -> bool:
        """Whether its work is recorded as CUDA graphs."""
        return self._steps.uses_graphs

    @property
    def max_targets(self) -> int:
        """The number of targets that there is room for."""
        return self._max_targets

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
            raise ValueError(f"{', '.join(fixed)} cannot change in a running tracker; build a new one")
        self._config = config
        self._steps.set_config(config)

    @property
    def names(self) -> list[Hashable]:
        """Of the targets."""
        return [tracked.name for tracked in self._tracked]

    def target(self, name: Hashable) -> TargetState:
        """Where a target is.

        Raises:
            ValueError: if there is no target of this name.
        """
        return self._tracked[self._place(name)].state

    def set_target(self, name: Hashable, state: TargetState) -> None:
        """Put a target somewhere else; what has been learned of it stays."""
        self._tracked[self._place(name)].state = state

    def memories(self, name: Hashable) -> TargetMemories:
        """The frames that are remembered of a target."""
        return self._steps.memories(self._place(name))

    def filters(self, name: Hashable) -> torch.Tensor:
        """The target filter (1, C, K, K); a view."""
        return self._steps.models.filters[self._place(name), None]

    @torch.inference_mode()
    def add(
        self, name: Hashable, image: NDArray[np.uint8], box: Sequence[float], random: RandomSource | None = None
    ) -> None:
        """Learn a target. One of the same name is forgotten, unless the arguments are refused.

        Args:
            name: For the results.
            image: (H, W, 3) uint8 RGB.
            box: x, y, w, h in image pixels.
            random: Of its random numbers; None: from the tracker's seed.

        Raises:
            ValueError: for an image or a box that cannot be used, or one target too many; the tracker is then
                unchanged.
        """
        image = check_image(image)
        checked = check_init_box(box, image.shape[:2])
        if name in self.names:
            self.remove(name)
        elif len(self._tracked) == self._max_targets:
            raise ValueError(f"{self._max_targets} targets are tracked already; remove one or raise max_targets")
        config, network, place = self._config, self._network, len(self._tracked)
        random = random or RandomSource(self._seed)
        position, size = position_and_size(checked)
        scale = initial_scale(size, config.search_area_scale, config.image_sample_size)

        frame = look_at_first_frame(image, position, size, float(scale), config, random)
        learned = learn_first_frame(network, frame, config, random, self._dtype)
        samples, templates = self._steps.memories(place)
        tokens = learned.features.flatten(1, 2)
        templates.reset(tokens, learned.masks.flatten(1))
        transformer, memory = network.classifier.transformer, templates.encoded_in_use
        decoded = torch.cat([transformer.decode(one[None], memory) for one in tokens])
        decoded = decoded.view(learned.features.shape).float()
        filters, maps = first_filter(network, decoded, learned.boxes, config.net_opt_iter)
        samples.reset(decoded, maps)
        self._steps.set_target(place, filters, learned.modulation)
        base_size = (size / scale).astype(np.float32)
        state = TargetState(position, size, scale, base_size, clear_size=size, clear_scale=scale)
        self._tracked.append(TrackedTarget(name, state, random))

    @torch.inference_mode()
    def remove(self, name: Hashable) -> None:
        """Forget a target.

        Raises:
            ValueError: if there is no target of this name.
        """
        place, last = self._place(name), len(self._tracked) - 1
        if place != last:
            self._steps.copy_target(last, place)
            self._tracked[place] = self._tracked[last]
            # What it was located in lies in its old place.
            self._tracked[place].located = None
        self._tracked.pop()

    def reset(self) -> None:
        """Forget all targets."""
        self._tracked.clear()

    def track(self, image: NDArray[np.uint8]) -> dict[Hashable, TrackResult]:
        """Find the targets in the next image and learn from it; see `locate` and `learn`."""
        results = self.locate(image)
        self.learn()
        return results

    @torch.inference_mode()
    def locate(
        self, image: NDArray[np.uint8], names: Collection[Hashable] | None = None
    ) -> dict[Hashable, TrackResult]:
        """Find the targets in the next image: all that a control loop waits for.

        Args:
            image: (H, W, 3) uint8 RGB; its size may differ from the last one's.
            names: The targets to look for; the others stay as they are. None: all of them.

        Returns:
            A result for each name.

        Raises:
            ValueError: for an image that cannot be used, or a name that no target has; the tracker is then unchanged.
        """
        image = check_image(image)
        wanted = self.names if names is None else names
        for name in wanted:
            self._place(name)
        if not self._tracked:
            return {}
        areas = [self._fill_in(place, tracked, image) for place, tracked in enumerate(self._tracked)]
        self._steps.numbers.send()
        self.stage("upload")
        output = self._steps.locate(len(self._tracked), self.stage)
        decisions = output.decision.cpu().numpy()
        self.stage("decision")
        return {
            tracked.name: tracked.take(FrameDecision.from_packed(row), coordinates, score_map, self._config)
            for tracked, row, coordinates, score_map in zip(
                self._tracked, decisions, areas, output.score_map, strict=True
            )
            if tracked.name in wanted
        }

    @torch.inference_mode()
    def learn(self, names: Collection[Hashable] | None = None) -> None:
        """Learn from the frame that was located last, where it is to be trusted: update memories and filters.

        Args:
            names: The targets to learn from it; None: all that were looked for in it.
        """
        lessons = []
        for place, tracked in enumerate(self._tracked):
            wanted = names is None or tracked.name in names
            if wanted and tracked.located is not None and tracked.located.trusted:
                lessons.append((place, *self._prepare_lesson(place, tracked)))
            tracked.located = None
        if lessons:
            self._steps.lessons.send()
        for place, iterations, remember in lessons:
            self._steps.learn_sample(place, iterations, self.stage)
            if self._config.transformer_skipping:
                self._learn_template(place, remember)

    def _learn_template(self, place: int, remember: bool) -> None:
        """Store the frame in the template memory, or do a part of what can be done in advance."""
        templates = self._steps.memories(place).templates
        frames_between = max(self._config.transformer_skipping - 1, 1)
        parts = templates.parts_to_retire(share=1.0 if remember else 1.0 / frames_between)
        for part in parts:
            self._steps.retire_template(place, part)
        if parts:
            self.stage("retiring template")
        if remember:
            templates.claim_slot()
            self._steps.learn_template(place)
            if templates.refresh_is_due():
                templates.refresh()
            self.stage("template memory")

    def score_map(self, name: Hashable) -> NDArray[np.float32] | None:
        """The score map (rows, columns) of the frame located last; None before the first."""
        scores = self._tracked[self._place(name)].score_map
        return None if scores is None else scores.float().cpu().numpy().copy()

    def _place(self, name: Hashable) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise ValueError(f"there is no target {name!r}; there are {self.names}") from None

    def _fill_in(self, place: int, tracked: TrackedTarget, image: NDArray[np.uint8]) -> list[Coordinates]:
        """Collect all that the device needs to locate a target; returns its search areas, one per scale."""
        areas = find_search_areas(image, tracked, self._config, self._network.config.filter_size)
        for index, pixels in enumerate(areas.crops):
            self._steps.crops.send(place * len(areas.crops) + index, pixels)
        self._steps.numbers.fill(areas.numbers, row=place)
        return areas.coordinates

    def _prepare_lesson(self, place: int, tracked: TrackedTarget) -> tuple[int, bool]:
        """Collect all that the device needs to learn from a target's located frame.

        Returns:
            The number of steps for the target filter, and whether the frame joins the template memory.
        """
        located, config, frame_number = tracked.located, self._config, tracked.state.frame_number
        assert located is not None
        samples, templates = self._steps.memories(place)
        remember = enters_templates(frame_number, config)
        distractor = located.decision.state == State.HARD_NEGATIVE
        slot = samples.weights.add(
            config.hard_negative_learning_rate if distractor else config.learning_rate,
            config.init_samples_minimum_weight,
        )
        self._steps.lessons.fill(
            {
                "box": learned_box(located, config.image_sample_size),
                "slot": [slot],
                "sample_weights": samples.weights.values,
                "template_slot": [templates.next_slot],
            },
            row=place,
        )
        iterations = filter_iterations(located.decision, frame_number, config)
        if config.spread_learning or self._dtype != torch.float32:
            iterations = tracked.postpone(iterations, remember)
        return iterations, remember
