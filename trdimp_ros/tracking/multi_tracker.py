"""Several targets at once: their search areas go through the network together."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.feature_engine import EngineFactory, TorchEngine
from trdimp_ros.models.inference import prepare_for_inference
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.device_steps import DeviceSteps, TargetMemories, consecutive
from trdimp_ros.tracking.devices import torch_threads
from trdimp_ros.tracking.first_frame import learn_target, look_at_first_frame
from trdimp_ros.tracking.frame_decision import read_decisions
from trdimp_ros.tracking.frame_pass import StageHook
from trdimp_ros.tracking.geometry import Coordinates, check_image, check_init_box, initial_scale, position_and_size
from trdimp_ros.tracking.host_inputs import UpdateInputs
from trdimp_ros.tracking.image_search import AreaToSearch, ImageSearch, ScorePeak
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.search_areas import find_search_areas
from trdimp_ros.tracking.target import (
    LocatedFrame,
    TargetState,
    TrackedTarget,
    TrackResult,
    enters_templates,
    filter_iterations,
    learned_box,
)
from trdimp_ros.tracking.template_learning import go_on_with_template, learn_template


class MultiTracker:
    """Tracks several targets (TrDiMP, Wang et al., CVPR 2021), each as a `Tracker` of its own would.

    A frame has two steps, so that a caller can use the boxes between them: `locate` finds the targets, `learn` updates
    what is known of them. `track` does both.

    Args:
        network: The network with its weights; it is copied and not changed.
        config: The parameters; None: the preset ``trdimp``.
        max_targets: The number of targets that room is taken for on the device.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or a torch device.
        dtype: Precision of backbone and attention: torch.float32, torch.bfloat16 or torch.float16.
        seed: The seed of each target's random numbers.
        graphs: Whether a frame is one piece: a CUDA graph on a GPU, compiled where the engine does that. Without,
            every stage can be timed by itself.
        engine: Makes what computes the features of images from the network prepared for inference, see
            `trdimp_ros.tracking.engines.choose_engine`.

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
        engine: EngineFactory = TorchEngine,
    ) -> None:
        if max_targets < 1:
            raise ValueError(f"max_targets must be at least 1, got {max_targets}")
        self._config = config or TrackerConfig()
        self._max_targets, self._seed = max_targets, seed
        self._network = prepare_for_inference(network, torch.device(device), dtype, engine)
        self._steps = DeviceSteps(self._network, self._config, max_targets, graphs)
        self._image_search: ImageSearch | None = None
        self._tracked: list[TrackedTarget] = []  # a target's index in it is also its index on the device

    @property
    def device(self) -> torch.device:
        """The device that it runs on."""
        return self._network.device

    @property
    def stage(self) -> StageHook:
        """Called at the end of each stage of the work with its name; for measuring."""
        return self._steps.stage

    @stage.setter
    def stage(self, hook: StageHook) -> None:
        self._steps.stage = hook

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
        """The names of the targets."""
        return [tracked.name for tracked in self._tracked]

    def target(self, name: Hashable) -> TargetState:
        """Where a target is.

        Raises:
            ValueError: if there is no target of this name.
        """
        return self._tracked[self._index(name)].state

    def set_target(self, name: Hashable, state: TargetState) -> None:
        """Put a target somewhere else; what has been learned of it stays."""
        self._tracked[self._index(name)].state = state

    def memories(self, name: Hashable) -> TargetMemories:
        """The frames that are remembered of a target."""
        return self._steps.memories(self._index(name))

    def filters(self, name: Hashable) -> torch.Tensor:
        """The target filter (1, C, K, K); a view."""
        return self._steps.filters[self._index(name), None]

    @torch.inference_mode()
    def add(
        self, name: Hashable, image: NDArray[np.uint8], box: Sequence[float], random: RandomSource | int | None = None
    ) -> None:
        """Learn a target. One of the same name is forgotten once the new one has been learned.

        Args:
            name: The name of the target in the results.
            image: The image (H, W, 3) uint8 RGB.
            box: The target's x, y, w, h in image pixels, sides of at least `MIN_BOX_SIDE`.
            random: The source of its random numbers, or a seed for them; None: the tracker's seed.

        Raises:
            ValueError: for an image or a box that cannot be used, or one target too many. After any error all targets
                are as they were.
        """
        image = check_image(image)
        checked = check_init_box(box, image.shape[:2])
        index = self.names.index(name) if name in self.names else len(self._tracked)
        if index == self._max_targets:
            raise ValueError(f"{self._max_targets} targets are tracked already; remove one or raise max_targets")
        if not isinstance(random, RandomSource):
            random = RandomSource(self._seed if random is None else random)
        config = self._config
        position, size = position_and_size(checked)
        scale = initial_scale(size, config.search_area_scale, config.image_sample_size)
        frame = look_at_first_frame(image, position, size, float(scale), config, random)
        with torch_threads(self._network.engine.threads):
            learned = learn_target(self._network, frame, config, random, self._steps.box_stage)
        self._steps.set_target(index, learned)
        base_size = (size / scale).astype(np.float32)
        state = TargetState(position, size, scale, base_size, clear_size=size, clear_scale=scale)
        self._tracked[index : index + 1] = [TrackedTarget(name, state, random)]

    @torch.inference_mode()
    def remove(self, name: Hashable) -> None:
        """Forget a target. The last one takes its index on the device.

        Raises:
            ValueError: if there is no target of this name.
        """
        index, last = self._index(name), len(self._tracked) - 1
        if index != last:
            self._steps.copy_target(last, index)
            self._tracked[index] = self._tracked[last]
            # The features that it was located with are not copied.
            self._tracked[index].located = None
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
        """Find targets in their next image: all that a control loop waits for.

        Args:
            image: The image (H, W, 3) uint8 RGB; its size may differ from the last one's.
            names: The targets to look for; the others stay as they are and cost nothing. None: all of them.

        Returns:
            A result for each name.

        Raises:
            ValueError: for an image that cannot be used, or a name that no target has; the tracker is then unchanged.
        """
        image = check_image(image)
        indices = self._indices(names)
        areas = {index: self._upload_search_areas(index, image) for index in indices}
        self._steps.crops.send()
        self._steps.frames.send()
        self.stage("upload")
        # Targets that follow one another on the device are located together.
        outputs = [(targets, self._steps.locate(targets)) for targets in consecutive(indices)]
        results = {}
        for targets, output in outputs:
            decisions = read_decisions(output.decision)
            for index, decision, score_map in zip(targets, decisions, output.score_map, strict=True):
                tracked = self._tracked[index]
                results[tracked.name] = tracked.apply(decision, areas[index], score_map, self._config)
        self.stage("decision")
        return results

    @torch.inference_mode()
    def learn(self, names: Collection[Hashable] | None = None) -> None:
        """Learn from the frame that each target was located in last, where it is to be trusted.

        Memories and filters are updated. A target learns once from a frame.

        Args:
            names: The targets that learn; the others can still do so later. None: all of them.

        Raises:
            ValueError: for a name that no target has; nothing is learned then.
        """
        updates, doubted = [], []
        for index in self._indices(names):
            tracked = self._tracked[index]
            if tracked.located is not None and tracked.located.trusted:
                updates.append((index, *self._prepare_update(index, tracked.located)))
            elif tracked.located is not None:
                doubted.append(tracked.name)
            tracked.located = None
        if updates:
            self._steps.updates.send()
            # The engine has little to do meanwhile: its threads are torch's.
            with torch_threads(self._network.engine.threads):
                for index, iterations, remember in updates:
                    self._steps.learn_sample(index, iterations)
                    if self._config.transformer_skipping:
                        learn_template(self._steps, index, remember, self._config)
        self.go_on_learning(doubted)

    @torch.inference_mode()
    def go_on_learning(self, names: Collection[Hashable]) -> None:
        """Go on with what was stored in frames before, where nothing is to be learned from the last one.

        With `TrackerConfig.spread_learning` a template is used some frames after it was stored; a target that is seen
        badly since then needs it all the more.

        Args:
            names: The targets; none of them may be in `learn` for the same frame.

        Raises:
            ValueError: for a name that no target has.
        """
        for index in self._indices(names):
            go_on_with_template(self._steps, index, self._config)

    def search(self, image: NDArray[np.uint8], areas: Sequence[AreaToSearch]) -> list[ScorePeak]:
        """What targets' filters say of other parts of an image; nothing changes.

        Args:
            image: (H, W, 3) uint8 RGB.
            areas: What to search, at most `TrackerConfig.reacquire_budget` of them.
        """
        if not areas:
            return []
        if self._image_search is None:  # it takes its room on the device when it is first needed
            self._image_search = ImageSearch(self._network, self._steps, self._config)
        return self._image_search(image, areas, self._config)

    def score_map(self, name: Hashable) -> NDArray[np.float32] | None:
        """The score map (rows, columns) of the frame located last; None before the first."""
        scores = self._tracked[self._index(name)].score_map
        return None if scores is None else scores.float().cpu().numpy().copy()

    def _index(self, name: Hashable) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise ValueError(f"there is no target {name!r}; there are {self.names}") from None

    def _indices(self, names: Collection[Hashable] | None) -> list[int]:
        """The indices of the targets of these names, in ascending order; None: of all."""
        return list(range(len(self._tracked))) if names is None else sorted({self._index(name) for name in names})

    def _upload_search_areas(self, index: int, image: NDArray[np.uint8]) -> list[Coordinates]:
        """Collect all that the device needs to locate a target; returns its search areas, one per scale."""
        areas = find_search_areas(image, self._tracked[index], self._config, self._network.config.filter_size)
        for scale, crop in enumerate(areas.crops):
            self._steps.crops.put(index * len(areas.crops) + scale, crop)
        self._steps.frames.fill(areas.inputs, target=index)
        return areas.coordinates

    def _prepare_update(self, index: int, located: LocatedFrame) -> tuple[int, bool]:
        """Collect all that the device needs to learn from a target's located frame.

        Returns:
            The number of steps for the target filter, and whether the frame joins the template memory.
        """
        tracked, config = self._tracked[index], self._config
        frame_number = tracked.state.frame_number
        samples, templates = self._steps.memories(index)
        remember = enters_templates(frame_number, config)
        distractor = located.decision.state == State.HARD_NEGATIVE
        slot = samples.weights.add(
            config.hard_negative_learning_rate if distractor else config.learning_rate,
            config.init_samples_minimum_weight,
        )
        update = UpdateInputs(
            box=learned_box(located, config.image_sample_size),
            sample_slot=np.array([slot], np.float32),
            sample_weights=samples.weights.values,
            template_slot=np.array([templates.next_slot], np.float32),
        )
        self._steps.updates.fill(update, target=index)
        iterations = filter_iterations(located.decision, frame_number, config)
        if config.spread_learning or self._network.dtype != torch.float32:
            iterations = tracked.postpone(iterations, remember)
        return iterations, remember
