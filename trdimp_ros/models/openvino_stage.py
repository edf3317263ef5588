"""Parts of a network compiled by OpenVINO.

OpenVINO (Intel, Apache-2.0, for x86 and ARM) lays weights out for the processor once, and fuses each convolution with
what follows it. The package `openvino` is optional (the extra ``fast``) and imported only here, when it is used.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import os
import pickle
import sys
import warnings
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import nn

SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",  # processors with bfloat16 would use it unasked
    "NUM_STREAMS": 1,
    # Threads that are bound to cores wait there for whatever else runs on them.
    "ENABLE_CPU_PINNING": False,
}

KEPT = 32
"""So many compiled stages are kept in a process; a tracker has up to ten. Another tracker with the same weights, as
after a node was configured anew, is then built in a tenth of the time. They keep some 70 MB for each network."""


def import_openvino() -> Any:
    """The package `openvino`, without the statistics of use that it would send to its makers.

    Raises:
        ImportError: if it is not installed.
    """
    if "openvino" not in sys.modules:
        # It asks for this package at import, and does without it where it is missing.
        sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino  # noqa: PLC0415  # optional, and slow to load

    return openvino


@functools.cache
def _core() -> Any:
    """OpenVINO's device, once in a process.

    It gives threads a stack of their own for signals. With the last device that stack's memory goes, but the threads
    keep using it: the next signal then ends the process (OpenVINO 2026.4.1).
    """
    return import_openvino().Core()


@dataclass(frozen=True)
class _Content:
    """A module that equals others of the same structure, weights and constants.

    Attributes:
        digest: Of all that the module consists of.
        module: The module, if it is still there.
    """

    digest: bytes
    module: Callable[[], nn.Module | None] = field(compare=False)

    @classmethod
    def of(cls, module: nn.Module) -> _Content:
        """What a module consists of now. One that cannot be pickled equals no other."""
        digest = _Digest()
        try:
            pickler = _ContentPickler(digest, protocol=pickle.HIGHEST_PROTOCOL)
            pickler.dump(_constants())
            pickler.dump(module)
        except (AttributeError, TypeError, RuntimeError, pickle.PicklingError):
            return cls(os.urandom(32), weakref.ref(module))
        return cls(digest.value.digest(), weakref.ref(module))


def _constants() -> list[tuple[str, str, str]]:
    """The package's constants by module and name: what is computed depends on them, and experiments change them."""
    package = __name__.partition(".")[0]
    modules = ((name, vars(module)) for name, module in sorted(sys.modules.items()) if name.startswith(package + "."))
    return [
        (name, key, repr(value))
        for name, values in modules
        for key, value in sorted(values.items())
        if key.isupper() and isinstance(value, (bool, int, float, str, tuple))
    ]


class _Digest:
    """A file for which bytes are written that nobody needs to read again."""

    def __init__(self) -> None:
        self.value = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.value.update(data)


class _ContentPickler(pickle.Pickler):
    """Pickles tensors as their numbers: torch would write where in memory they lie."""

    def reducer_override(self, value: object) -> Any:
        if isinstance(value, torch.Tensor):
            numbers = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            return tuple, ((str(value.dtype), tuple(value.shape), numbers),)
        return NotImplemented


@functools.lru_cache(maxsize=KEPT)
def _compiled(content: _Content, shapes: tuple[tuple[int, ...], ...], threads: int) -> Any:
    """A module compiled for inputs of these shapes, which all who ask for the same share."""
    openvino, examples = import_openvino(), tuple(torch.zeros(shape) for shape in shapes)
    # Tensors of the inference mode cannot be traced.
    with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sizes become constants is wanted
        # A copy, because OpenVINO goes on using the weights where they lie, and the module's may be changed.
        traced = torch.jit.trace(copy.deepcopy(content.module()), examples, check_trace=False)
        # Frozen, it has half as many operations to convert, but no longer says of what type its inputs are.
        inputs = [(shape, openvino.Type.f32) for shape in shapes]
        model = openvino.convert_model(torch.jit.freeze(traced), input=inputs)
    return _core().compile_model(model, "CPU", {**SETTINGS, "INFERENCE_NUM_THREADS": threads})


class _Request:
    """Asks a compiled module for results.

    Args:
        model: The compiled module.
    """

    def __init__(self, model: Any) -> None:
        self._request, self._tensor = model.create_infer_request(), import_openvino().Tensor
        self._given: list[torch.Tensor | None] = [None for _ in model.inputs]
        self._results: list[torch.Tensor] = []
        for index, output in enumerate(model.outputs):
            array = np.zeros(tuple(output.shape), output.element_type.to_dtype())
            self._request.set_output_tensor(index, self._tensor(array, shared_memory=True))
            self._results.append(torch.from_numpy(array))

    def __call__(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The results for inputs of the shapes that the module was compiled for."""
        for index, one in enumerate(inputs):
            before, now = self._given[index], one.contiguous()
            # Most inputs lie where they lay in the frame before: each that is handed over costs 0.02 ms.
            if before is None or before.data_ptr() != now.data_ptr():
                self._request.set_input_tensor(index, self._tensor(now.numpy(), shared_memory=True))
                # Kept until another one is given: memory that is free could come back with other contents.
                self._given[index] = now
        self._request.infer(share_outputs=True)
        # Copied, because the next call overwrites them: they are small, and a frame's are needed until it is learned.
        return [result.clone() for result in self._results]


class CompiledStage:
    """One stage of the network, compiled for single images when the first one of a size comes.

    Several images are computed one after the other: on a robot's few cores that costs no more than a batch, and a
    number of targets that was not met before costs no compilation in the middle of tracking.

    Args:
        name: The stage's name in messages.
        module: Tensors in, a tensor or a tuple of tensors out, all beginning with the number of images. Once it has
            been compiled, changes to it have no effect.
        batch: So many images are computed at once; for training, where there are always many.
        threads: Threads of the processor; None: as many as torch has when the stage is compiled.
    """

    def __init__(self, name: str, module: nn.Module, batch: int = 1, threads: int | None = None) -> None:
        self._name, self._module, self._batch, self._threads = name, module.eval(), batch, threads
        self._requests: dict[tuple[tuple[int, ...], ...], _Request] = {}

    def __call__(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The stage's results (N, ...) float32 for inputs (N, ...) float32."""
        starts = range(0, len(inputs[0]), self._batch)
        parts = [self._some([one[start : start + self._batch] for one in inputs]) for start in starts]
        if len(parts) == 1:
            return tuple(parts[0])
        return tuple(torch.cat(results) for results in zip(*parts, strict=True))

    def _some(self, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        shapes = tuple(tuple(one.shape) for one in inputs)
        if any(one.dtype != torch.float32 for one in inputs):
            types = ", ".join(str(one.dtype) for one in inputs)
            raise ValueError(f"the {self._name} is compiled for torch.float32, not for {types}")
        if shapes not in self._requests:
            self._requests[shapes] = self._compile(inputs)
        return self._requests[shapes](inputs)

    def _compile(self, inputs: Sequence[torch.Tensor]) -> _Request:
        shapes = tuple(tuple(one.shape) for one in inputs)
        try:
            model = _compiled(_Content.of(self._module), shapes, self._threads or torch.get_num_threads())
            return _Request(model)
        except Exception as error:  # its exceptions are of many types
            first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"engine openvino ({import_openvino().__version__}) cannot compute the {self._name}: {first_line}; use "
                "the engine torch"
            ) from error
