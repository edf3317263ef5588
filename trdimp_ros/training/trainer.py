"""The training loop: one step after another, resumable at any of them, on one device or several (torchrun)."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import pickle
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed, nn

from trdimp_ros.models import NetworkConfig, TrDiMPNet
from trdimp_ros.training.config import TrainingConfig
from trdimp_ros.training.frozen_backbone import FrozenBackbone
from trdimp_ros.training.image_bank import ImageBank
from trdimp_ros.training.initialization import initial_network
from trdimp_ros.training.objective import Objective
from trdimp_ros.training.pretrained import has_pretrained, late_stages
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
        network_config: Sizes of the network to train.
        config: How to train it.
        bank: Images, on the device to train on.
        precision: Convolutions compute in it: float32 or bfloat16 (not float16: losses are not scaled).
        engine: What computes a frozen backbone, see `FrozenBackbone`.

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
        engine: str = "auto",
    ) -> None:
        if precision == torch.float16:
            raise ValueError("training in float16 is not supported; use bfloat16 or float32")
        if config.batch < 2 * world_size():
            raise ValueError(
                f"batch must be at least 2 for each process, for the batch norms; got {config.batch} for {world_size()}"
            )
        self._config, self._bank = config, bank
        self.step = 0
        network = initial_network(network_config, config.label_width, config.seed, config.pretrained)
        self._network = network.to(bank.device).train()
        pretrained = config.pretrained and has_pretrained(network.backbone)
        if pretrained:  # its batch norms keep their statistics
            self._network.backbone.eval().requires_grad_(False)
            late_stages(self._network.backbone).requires_grad_(config.backbone_rate > 0)
        for module in self._network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self._network).eval().requires_grad_(False)
        self._optimizer = _optimizer(self._network, config)
        self._bad_steps = 0
        self._frozen: FrozenBackbone | None = None
        if pretrained and config.backbone_rate == 0:
            self._frozen = FrozenBackbone(self._network, precision, torch.channels_last, engine)
        self._objective = Objective(self._network, config, precision, self._frozen)

    @property
    def config(self) -> TrainingConfig:
        return self._config

    def run(self, until: Callable[[], bool] = lambda: False) -> Iterator[Step]:
        """Take steps until all are taken, or until the first process is asked to stop."""
        while self.step < self._config.steps and not self._agreed(until):
            yield self._take_step()

    def _agreed(self, until: Callable[[], bool]) -> bool:
        """What the first process says; asked by each for itself, some would wait for those that have stopped."""
        if not distributed.is_initialized():
            return until()
        answer = torch.tensor(int(rank() == 0 and until()), device=self._bank.device)
        distributed.broadcast(answer, src=0)
        return bool(answer)

    def samples(self, step: int) -> Samples:
        """The batch of a step on this process; a function of seed, step and rank alone."""
        config = self._config
        generator = torch.Generator(self._bank.device)
        generator.manual_seed((config.seed * _SEED_STRIDE + step) * world_size() + rank())
        batch = config.batch // world_size()
        return draw_samples(self._bank, config.composition, config.templates + 1, config.tests, batch, generator)

    @torch.enable_grad()
    def _take_step(self) -> Step:
        start = time.perf_counter()
        config = self._config
        rate = learning_rate_factor(self.step / config.steps, config.warm_up, config.cool_down)
        for group in self._optimizer.param_groups:
            group["lr"] = group["base_rate"] * rate
        losses = self._objective(self.samples(self.step), self.step)
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
            "data": self._bank.counts(),
        }
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a saved state of this very run.

        Raises:
            ValueError: if it is damaged, or of another network or configuration.
        """
        state = self._read(path)
        different = _differences(json.loads(state["config"]), json.loads(self._config.to_json()))
        different += _differences(state["data"], self._bank.counts())
        if different:
            raise ValueError(
                f"{path}: was made with another configuration ({'; '.join(different)}); give the same one, another "
                "--out, or --start-from to begin a new run with its weights"
            )
        self._load(state)

    def start_from(self, path: Path) -> None:
        """Begin with the weights, the optimiser's state and the step of another run, whose configuration may differ.

        Raises:
            ValueError: if it is damaged, of another network, or has taken all steps of this run already.
        """
        state = self._read(path)
        if state["step"] >= self._config.steps:
            raise ValueError(f"{path}: is at step {state['step']}, and this run ends after step {self._config.steps}")
        self._load(state)

    def start_from_network(self, network: TrDiMPNet) -> None:
        """Begin at step 0 with the weights of a network, such as the bundled one.

        It may lack the appearance head, which starts anew then.

        Raises:
            ValueError: if it is of another architecture otherwise.
        """
        config = self._network.config
        if network.appearance_head is None:
            config = dataclasses.replace(config, appearance_channels=0)
        if network.config != config:
            raise ValueError(
                f"the weights to start from are of another network, {network.config.to_json()}; "
                f"this run trains {self._network.config.to_json()}"
            )
        state = self._network.state_dict() | network.state_dict()
        self._put_weights(state, state)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(path, map_location=self._bank.device, weights_only=True)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(f"{path}: not a checkpoint of a training, or damaged; delete it to start anew") from error
        if state["network_config"] != self._network.config.to_json():
            raise ValueError(f"{path}: is of another network; give another --out. It holds {state['network_config']}")
        differs = sorted(state["network"].keys() ^ self._network.state_dict().keys())
        if differs:
            raise ValueError(
                f"{path}: was written by another version of this package, whose network differs in {differs[0]} and "
                f"{len(differs) - 1} more; go on with that version, or give another --out and start anew"
            )
        return state

    def _load(self, state: dict[str, Any]) -> None:
        self._put_weights(state["network"], state["average"])
        base_rates = [group["base_rate"] for group in self._optimizer.param_groups]
        self._optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self._optimizer.param_groups, base_rates, strict=True):
            group["base_rate"] = rate
        self.step = state["step"]

    def _put_weights(self, network: dict[str, torch.Tensor], average: dict[str, torch.Tensor]) -> None:
        self._network.load_state_dict(network)
        self.average.load_state_dict(average)
        if self._frozen is not None:
            self._frozen.renew(self._network)  # which need not be the published one


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Which values differ, as text."""
    different = []
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            different += [f"{name}.{text}" for text in _differences(before, now)]
        elif before != now:
            different.append(f"{name}: {before} there, {now} here")
    return different


def learning_rate_factor(progress: float, warm_up: float, cool_down: float = 1.0) -> float:
    """Linear rise, a constant part, then half a cosine down to zero.

    Args:
        progress: Share of the steps that were taken.
        warm_up: Share of the steps in which the rate rises.
        cool_down: Share of the steps in which it falls; with the warm-up more than 1: there is no constant part.
    """
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    fall = min(cool_down, 1.0 - warm_up)
    if fall == 0 or progress < 1.0 - fall:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - (1.0 - fall)) / fall))


def _optimizer(network: TrDiMPNet, config: TrainingConfig) -> torch.optim.AdamW:
    filter_parameters = list(network.classifier.filter_optimizer.parameters())
    special = {id(parameter) for parameter in filter_parameters}
    backbone: list[nn.Parameter] = []
    if config.pretrained and has_pretrained(network.backbone):
        backbone = [parameter for parameter in network.backbone.parameters() if parameter.requires_grad]
        special |= {id(parameter) for parameter in network.backbone.parameters()}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in special]
    rate = config.learning_rate
    groups = [
        ([one for one in rest if one.dim() > 1], config.weight_decay, rate),
        ([one for one in rest if one.dim() <= 1], 0.0, rate),
        (filter_parameters, 0.0, config.filter_learning_rate),
        (backbone, config.weight_decay, rate * config.backbone_rate),
    ]
    described = [
        {"params": parameters, "weight_decay": decay, "base_rate": rate}
        for parameters, decay, rate in groups
        if parameters
    ]
    return torch.optim.AdamW(described, lr=rate)


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
