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
    """Runs functions of fixed shapes, from their third call on as CUDA graphs.

    A function takes no arguments: it reads and writes tensors that keep their place in memory, and depends on nothing
    that the host changes. Its first call runs eagerly (libraries choose their kernels then), the second one is
    recorded; from then on the recording is replayed, and what the function returned at the recording holds the new
    results.

    Args:
        device: Of the tensors.
        enabled: False runs everything eagerly, as does any device but CUDA.

    Attributes:
        enabled: Becomes False, with a line in the log, when a recording fails.
    """

    def __init__(self, device: torch.device, enabled: bool = True) -> None:
        self.enabled = enabled and device.type == "cuda"
        self._device = device
        self._seen: set[Hashable] = set()
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, object]] = {}

    def run(self, key: Hashable, function: Callable[[], Result]) -> Result:
        """Call a function.

        Args:
            key: Names the function and whatever it depends on besides its tensors.
            function: See above.
        """
        if not self.enabled:
            return function()
        with self._on_device():
            if key in self._recorded:
                graph, result = self._recorded[key]
                graph.replay()
                return result  # type: ignore[return-value]
            if key not in self._seen:
                self._seen.add(key)
                return function()
            return self._record(key, function)

    def _on_device(self) -> AbstractContextManager[object]:
        """Streams are those of the current device: with several GPUs it has to be the right one."""
        return nullcontext() if self._device.index is None else torch.cuda.device(self._device)

    def _record(self, key: Hashable, function: Callable[[], Result]) -> Result:
        graph = torch.cuda.CUDAGraph()
        try:
            torch.cuda.synchronize(self._device)
            # Other threads may use the GPU meanwhile, for something else.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = function()
        except RuntimeError as error:
            self.enabled = False
            _logger.warning("running without CUDA graphs: recording %r failed (%s)", key, error)
            torch.cuda.synchronize(self._device)
            return function()
        self._recorded[key] = graph, result
        graph.replay()
        return result
