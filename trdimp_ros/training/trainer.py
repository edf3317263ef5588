"""The training loop: one step after another, resumable at any of them, on one device or several (torchrun)."""

from __future__ import annotations

import copy
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trdimp_ros.models import NetworkConfig, TrDiMPNet
from trdimp_ros.models.config import STRIDE
from trdimp_ros.models.labels import gaussian_label
from trdimp_ros.training.config import TrainingConfig
from trdimp_ros.training.image_bank import ImageBank
from trdimp_ros.training.initialization import initial_network
from trdimp_ros.training.losses import LossWeights, weighted_losses
from trdimp_ros.training.proposals import draw_proposals
from trdimp_ros.training.samples import Samples, draw_samples

MAX_BAD_STEPS = 20
"""So many steps in a row whose loss is no number end the training."""

_SEED_STRIDE = 1_000_003


class Step(NamedTuple):
    """What is known after a step.

    Attributes:
        number: 1 for the first.
        losses: All parts and their ``total``.
        learning_rate: That was used.
        seconds: It took.
    """

    number: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float


class Trainer:
    """Network, optimiser, running average and the number of steps taken.

    Args:
        network_config: What is trained.
        config: How.
        bank: Images, on the device to train on.
        precision: Of the convolutions: float32, bfloat16 (float16 is not supported: losses are not scaled).

    Attributes:
        step: Steps taken so far.
        average: The running average of the weights: the network to keep.
    """

    def __init__(
        self,
        network_config: NetworkConfig,
        config: TrainingConfig,
        bank: ImageBank,
        precision: torch.dtype = torch.float32,
    ) -> None:
        if precision == torch.float16:
            raise ValueError("training in float16 is not supported; use bfloat16 or float32")
        if config.batch < 2 * world_size():
            raise ValueError(
                f"batch must be at least 2 for each process, for the batch norms; got {config.batch} for {world_size()}"
            )
        self._config, self._bank, self._precision = config, bank, precision
        self.step = 0
        self._network = initial_network(network_config, config.label_width, config.seed).to(bank.device).train()
        for module in self._network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self._network).eval().requires_grad_(False)
        self._optimizer = _optimizer(self._network, config)
        self._bad_steps = 0
        self._forward: nn.Module = self._network
        if distributed.is_initialized():
            # WV and the unused parts of the checkpoint's layout get no gradient.
            self._forward = DistributedDataParallel(self._network, find_unused_parameters=True)

    @property
    def config(self) -> TrainingConfig:
        return self._config

    def run(self, until: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Take steps until all are taken, or until asked to stop."""
        while self.step < self._config.steps and not until():
            yield self._take_step()

    def samples(self, step: int) -> Samples:
        """The batch of a step on this process; a function of seed, step and rank alone."""
        config = self._config
        generator = torch.Generator(self._bank.device)
        generator.manual_seed((config.seed * _SEED_STRIDE + step) * world_size() + rank())
        batch = config.batch // world_size()
        return draw_samples(self._bank, config.composition, config.templates, config.tests, batch, generator)

    @torch.enable_grad()
    def _take_step(self) -> Step:
        start = time.perf_counter()
        config = self._config
        rate = learning_rate_factor(self.step / config.steps, config.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_rate"] * rate
        losses = self._losses(self.samples(self.step))
        self._optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), config.gradient_limit)
        if bool(torch.isfinite(norm)):
            self._optimizer.step()
            self._update_average()
            self._bad_steps = 0
        else:
            self._bad_steps += 1
            if self._bad_steps >= MAX_BAD_STEPS:
                raise ValueError(
                    f"training diverged: no finite gradient in {MAX_BAD_STEPS} steps up to step {self.step}; "
                    "lower the learning rate"
                )
        self.step += 1
        numbers = {name: float(value.detach()) for name, value in losses.items()}
        return Step(self.step, numbers, config.learning_rate * rate, time.perf_counter() - start)

    def _losses(self, samples: Samples) -> dict[str, torch.Tensor]:
        config = self._config
        frames, batch, _, side, _ = samples.images.shape
        cells, filter_size = side // STRIDE, self._network.config.filter_size
        images = self._network.backbone.normalize(samples.images.flatten(0, 1))
        images = images.contiguous(memory_format=torch.channels_last)
        images = images.unflatten(0, (frames, batch))
        templates = config.templates
        generator = torch.Generator(self._bank.device).manual_seed(self.step)
        proposals = draw_proposals(samples.boxes[templates:], config.proposals, generator)
        masks = gaussian_label(samples.boxes[:templates].flatten(0, 1), (cells, cells), (side, side), filter_size)
        labels = gaussian_label(
            samples.boxes[templates:].flatten(0, 1),
            (cells, cells),
            (side, side),
            filter_size,
            config.label_width / cells,
            end_pad=True,
        )
        present = samples.present[templates:]
        labels = labels.unflatten(0, (-1, batch)) * present[..., None, None]
        output = self._forward(
            images[:templates],
            samples.boxes[:templates],
            masks.unflatten(0, (templates, batch)),
            images[templates:],
            proposals.boxes,
            config.iterations,
            self._precision,
        )
        # An odd filter size: these maps lie on the feature's cells, not between them.
        centers = gaussian_label(
            samples.boxes.flatten(0, 1), (cells, cells), (side, side), 1, config.label_width / cells
        ).unflatten(0, (frames, batch))
        weights = LossWeights(box=config.box_weight, contrast=config.contrast_weight)
        targets = (centers[:templates], centers[templates:])
        return weighted_losses(output, labels, proposals.density, proposals.true_density, weights, present, targets)

    @torch.no_grad()
    def _update_average(self) -> None:
        # Early on the average follows faster, or it would keep the random start for long.
        decay = min(self._config.average, (1 + self.step) / (10 + self.step))
        for kept, new in zip(self.average.state_dict().values(), self._network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on; never leaves half a file."""
        state = {
            "step": self.step,
            "network": self._network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "network_config": self._network.config.to_json(),
            "config": self._config.to_json(),
        }
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: if it is damaged, or of another network.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location=self._bank.device, weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path}: not a checkpoint of a training, or damaged; delete it to start anew") from error
        if NetworkConfig.from_json(state["network_config"]) != self._network.config:
            raise ValueError(f"{path}: is of another network; give another --out. It holds {state['network_config']}")
        self._network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def learning_rate_factor(progress: float, warm_up: float) -> float:
    """Linear rise, then half a cosine down to zero; ``progress`` from 0 to 1."""
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def _optimizer(network: TrDiMPNet, config: TrainingConfig) -> torch.optim.AdamW:
    filter_parameters = list(network.classifier.filter_optimizer.parameters())
    special = {id(parameter) for parameter in filter_parameters}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in special]
    groups = [
        {"params": [one for one in rest if one.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [one for one in rest if one.dim() <= 1], "weight_decay": 0.0},
        {"params": filter_parameters, "weight_decay": 0.0},
    ]
    for group, rate in zip(
        groups, (config.learning_rate, config.learning_rate, config.filter_learning_rate), strict=True
    ):
        group["base_rate"] = rate
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def start_processes() -> torch.device:
    """Join the processes of torchrun, where there are any; returns this process's device."""
    cuda = torch.cuda.is_available()
    if "RANK" not in os.environ:
        return torch.device("cuda" if cuda else "cpu")
    distributed.init_process_group("nccl" if cuda else "gloo")
    if not cuda:
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def rank() -> int:
    """Number of this process; 0 without torchrun."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """Number of processes; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1
