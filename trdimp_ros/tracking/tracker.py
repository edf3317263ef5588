"""The tracker: initialise with an image and a box, then give it one image after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.feature_engine import EngineFactory, TorchEngine
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.filter_memory import FilterMemory
from trdimp_ros.tracking.frame_pass import StageHook
from trdimp_ros.tracking.long_term import LongTermTracker
from trdimp_ros.tracking.randomness import RandomSource
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.template_memory import TemplateMemory

NAME = "target"
"""The name of the only target of the `MultiTracker` behind a `Tracker`."""


class Tracker:
    """Tracks one target (TrDiMP, Wang et al., CVPR 2021). For several at once see `MultiTracker`.

    A frame has two steps, so that a caller can use the box between them: `locate` finds the target, `learn` updates
    what is known of it. `track` does both.

    Args:
        network: The network with its weights; it is copied and not changed.
        config: The parameters; None: the preset ``trdimp``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ... or a torch device.
        dtype: Precision of backbone and attention: torch.float32, torch.bfloat16 or torch.float16.
        seed: The seed of all random numbers.
        graphs: Whether a frame is one piece: a CUDA graph on a GPU, compiled where the engine does that. Without,
            every stage can be timed by itself.
        engine: Makes what computes the features of images from the network prepared for inference, see
            `trdimp_ros.tracking.engines.choose_engine`.
    """

    def __init__(
        self,
        network: TrDiMPNet,
        config: TrackerConfig | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        graphs: bool = True,
        engine: EngineFactory = TorchEngine,
    ) -> None:
        self._targets = LongTermTracker(network, config, 1, device, dtype, seed, graphs, engine)
        self._random = RandomSource(seed)

    @property
    def device(self) -> torch.device:
        """The device that it runs on."""
        return self._targets.device

    @property
    def uses_graphs(self) -> bool:
        """Whether its work is recorded as CUDA graphs."""
        return self._targets.uses_graphs

    @property
    def stage(self) -> StageHook:
        """Called at the end of each stage of the work with its name; for measuring."""
        return self._targets.stage

    @stage.setter
    def stage(self, hook: StageHook) -> None:
        self._targets.stage = hook

    @property
    def config(self) -> TrackerConfig:
        """The parameters in force. Assigning takes effect on the next frame.

        Raises:
            ValueError: on assignment, when a field differs that cannot change in a running tracker.
        """
        return self._targets.config

    @config.setter
    def config(self, config: TrackerConfig) -> None:
        self._targets.config = config

    @property
    def target(self) -> TargetState | None:
        """Where the target is; None before `initialize`."""
        return self._targets.target(NAME) if self._targets.names else None

    @target.setter
    def target(self, state: TargetState) -> None:
        self._initialized().set_target(NAME, state)

    @property
    def filter_memory(self) -> FilterMemory:
        """The frames that the target filter is trained on."""
        return self._initialized().memories(NAME).samples

    @property
    def template_memory(self) -> TemplateMemory:
        """The frames that the transformer attends to."""
        return self._initialized().memories(NAME).templates

    @property
    def filters(self) -> torch.Tensor:
        """The target filter (1, C, K, K).

        Raises:
            ValueError: before `initialize`.
        """
        return self._initialized().filters(NAME)

    def reset(self) -> None:
        """Forget the target."""
        self._targets.reset()

    def initialize(
        self, image: NDArray[np.uint8], box: Sequence[float], random: RandomSource | int | None = None
    ) -> None:
        """Learn a target. A target learned before is forgotten once the new one has been learned.

        Args:
            image: The image (H, W, 3) uint8 RGB.
            box: The target's x, y, w, h in image pixels, sides of at least `MIN_BOX_SIDE`.
            random: The source of all random numbers from now on, or a seed for them; None: they go on.

        Raises:
            ValueError: for an image or a box that cannot be used. After any error the target is as it was.
        """
        source = RandomSource(random) if isinstance(random, int) else random or self._random
        self._targets.add(NAME, image, box, source)
        self._random = source

    def track(self, image: NDArray[np.uint8]) -> TrackResult:
        """Find the target in the next image and learn from it; see `locate` and `learn`."""
        result = self.locate(image)
        self.learn()
        return result

    def locate(self, image: NDArray[np.uint8]) -> TrackResult:
        """Find the target in the next image: all that a control loop waits for.

        Args:
            image: The image (H, W, 3) uint8 RGB; its size may differ from the last one's.

        Raises:
            ValueError: for an image that cannot be used, or before `initialize`; the tracker is then unchanged.
        """
        return self._initialized().locate(image)[NAME]

    def learn(self) -> None:
        """Learn from the frame that was located last, if it is to be trusted: update both memories and the filter.

        Raises:
            ValueError: before `initialize`.
        """
        self._initialized().learn()

    @property
    def has_score_map(self) -> bool:
        """Whether a frame has been located since `initialize`."""
        return self._score_map() is not None

    def score_map(self) -> NDArray[np.float32]:
        """The score map (rows, columns) of the frame located last.

        Raises:
            ValueError: before the first `locate`.
        """
        scores = self._score_map()
        if scores is None:
            raise ValueError("there is no score map before the first frame has been located")
        return scores

    def _score_map(self) -> NDArray[np.float32] | None:
        return self._targets.score_map(NAME) if self._targets.names else None

    def _initialized(self) -> LongTermTracker:
        if not self._targets.names:
            raise ValueError("the tracker has no target; call initialize(image, box) first")
        return self._targets
