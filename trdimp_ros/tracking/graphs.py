"""CUDA graphs: a recorded sequence of kernels is started by one call instead of hundreds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch

Result = TypeVar("Result")

_logger = logging.getLogger(__name__)


class GraphRunner:
    """Runs steps of fixed shapes, from their third call on as CUDA graphs.

    A step reads and writes tensors whose addresses do not change, and depends on nothing else that the host changes
    but its arguments: those are the key of its recording. The first call with some arguments runs eagerly (libraries
    choose their kernels then), the second one is recorded; from then on the recording is replayed, and what the step
    returned at the recording holds the new results.

    Args:
        device: The device of the tensors.
        enabled: False runs everything eagerly, as does any device but CUDA.

    Attributes:
        enabled: Becomes False, with a line in the log, when a recording fails.
    """

    def __init__(self, device: torch.device, enabled: bool = True) -> None:
        self.enabled = enabled and device.type == "cuda"
        self._device = device
        self._seen: set[Hashable] = set()
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, object]] = {}

    def run(self, step: Callable[..., Result], *arguments: Hashable) -> Result:
        """Call a step with arguments, or replay the recording of such a call."""
        if not self.enabled:
            return step(*arguments)
        key = (step, arguments)
        with self._on_device():
            if key in self._recorded:
                graph, result = self._recorded[key]
                graph.replay()
                return result  # type: ignore[return-value]
            if key not in self._seen:
                self._seen.add(key)
                return step(*arguments)
            return self._record(step, arguments)

    def _on_device(self) -> AbstractContextManager[object]:
        """Streams are those of the current device: with several GPUs it has to be the right one."""
        return nullcontext() if self._device.index is None else torch.cuda.device(self._device)

    def _record(self, step: Callable[..., Result], arguments: tuple[Hashable, ...]) -> Result:
        graph = torch.cuda.CUDAGraph()
        try:
            torch.cuda.synchronize(self._device)
            # Other threads may use the GPU meanwhile, for something else.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = step(*arguments)
        except RuntimeError as error:
            self.enabled = False
            _logger.warning("running without CUDA graphs: recording %s%r failed (%s)", step, arguments, error)
            torch.cuda.synchronize(self._device)
            return step(*arguments)
        self._recorded[step, arguments] = graph, result
        graph.replay()
        return result
