"""Which inference engine computes the network's part of a frame, and with how many threads."""

from __future__ import annotations

import importlib.util

import torch

from trdimp_ros.models.feature_engine import EngineFactory, TorchEngine
from trdimp_ros.models.openvino_engine import OpenVinoEngine, OpenVinoThreads
from trdimp_ros.tracking.devices import threads_in_use, use_threads

ENGINES = ("auto", "torch", "openvino")
"""The engines by the names under which users choose them."""


def choose_engine(name: str, device: torch.device, precision: torch.dtype = torch.float32) -> EngineFactory:
    """The engine of this name; ``auto`` is the fastest that can compute on the device in the precision.

    Args:
        name: One of `ENGINES`.
        device: The device that the tracker computes on.
        precision: The precision of its convolutions.

    Raises:
        ValueError: for an engine that is unknown, not installed, or cannot compute there.
    """
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; use {', '.join(ENGINES)}")
    fits = device.type == "cpu" and precision == torch.float32
    installed = importlib.util.find_spec("openvino") is not None
    if name == "openvino" and not fits:
        text = str(precision).removeprefix("torch.")
        raise ValueError(f"engine openvino needs the processor and float32, not {device} and {text}; use torch")
    if name == "openvino" and not installed:
        raise ValueError("engine openvino needs the package openvino: pip install 'trdimp_ros[fast]', or use torch")
    return OpenVinoEngine if name != "torch" and fits and installed else TorchEngine


def engine_name(engine: EngineFactory) -> str:
    """The name under which an engine from `choose_engine` is chosen."""
    return "torch" if engine is TorchEngine else "openvino"


def share_threads(engine: EngineFactory, count: int) -> EngineFactory:
    """Give the processor's threads to whoever computes most: to the engine openvino, if it is that, else to torch.

    Beside OpenVINO torch is left one thread. What remains for it are small operations, and the threads that OpenMP
    would keep waiting for the next one take the cores from OpenVINO's. Torch keeps this number for each thread of the
    program: it holds in the one that calls, and in those that use torch for the first time later.

    Args:
        engine: The engine, from `choose_engine`.
        count: The number of threads; 0 is what torch chose when the process started: one per core, or OMP_NUM_THREADS.

    Returns:
        The engine that a tracker is to be built with.

    Raises:
        ValueError: for a number of threads that cannot be, see `use_threads`.
    """
    use_threads(count)
    if engine is not OpenVinoEngine:
        return engine
    torch.set_num_threads(1)
    return OpenVinoThreads(threads_in_use())
