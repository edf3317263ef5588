"""The parameters of the node `tracker`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from trdimp_ros.checkpoints import BUNDLED_PRESET
from trdimp_ros.parameters import check_parameters, parameter, parameters_of, section
from trdimp_ros.sessions import HandOffSettings
from trdimp_ros.tracking import PRESETS, TrackerConfig, preset
from trdimp_ros.tracking.devices import MAX_THREADS, PRECISIONS
from trdimp_ros.tracking.engines import ENGINES


@dataclass(frozen=True)
class ModelParameters:
    """Which network computes, and on what."""

    weights: str = parameter(
        "",
        "Weights file, .safetensors or .pth.tar; empty: the bundled compact network for its preset, untrained weights "
        "for the others.",
        dynamic=False,
    )
    device: str = parameter(
        "auto", "What the network runs on: auto (a GPU where there is one), cpu, cuda or cuda:N.", dynamic=False
    )
    precision: str = parameter(
        "float32", "Precision of backbone and attention.", choices=tuple(PRECISIONS), dynamic=False
    )
    engine: str = parameter(
        "auto",
        "What computes the network: auto (openvino where it is installed, on a processor in float32), torch or "
        "openvino.",
        choices=ENGINES,
        dynamic=False,
    )
    threads: int = parameter(
        0,
        "Threads of the processor; 0: torch's choice, one per core. One less leaves a core to camera driver and "
        "controller. The engine openvino gets them all, and torch one.",
        0,
        MAX_THREADS,
        False,
    )

    def __post_init__(self) -> None:
        check_parameters(self)


@dataclass(frozen=True)
class TrackerNodeParameters:
    """Everything that can be set on the node; what is not of the tracker itself is read at configure."""

    preset: str = parameter(
        BUNDLED_PRESET, "Parameter set that the tracker.* parameters start from.", choices=tuple(PRESETS), dynamic=False
    )
    model: ModelParameters = section(ModelParameters)
    autostart: bool = parameter(
        True,
        "Whether the node walks to active by itself, without a lifecycle manager; read at the start.",
        dynamic=False,
    )
    image_transport: Literal["raw", "compressed"] = parameter(
        "raw",
        "Which images are taken: raw those of the topic image, compressed those of image/compressed.",
        dynamic=False,
    )
    image_qos_reliability: Literal["best_effort", "reliable"] = parameter(
        "best_effort",
        "Reliability of the image subscription; best_effort also matches reliable cameras.",
        dynamic=False,
    )
    frame_buffer: float = parameter(
        1.0,
        "Seconds for which every image is kept, so that an init for a past image can catch up; of the 10 seconds "
        "before them five images a second are kept, for boxes that people draw. At most 512 MiB; 0: only the newest.",
        0.0,
        60.0,
        False,
    )
    max_targets: int = parameter(
        1,
        "Most targets tracked at once; memory for them is taken on the device at configure. With 1, an init takes the "
        "place of the target that there is, whatever its id.",
        1,
        32,
        False,
    )
    candidates: HandOffSettings = section(HandOffSettings)
    tracker: TrackerConfig = section(TrackerConfig)

    def __post_init__(self) -> None:
        check_parameters(self)


def tracker_defaults(given: Mapping[str, Any]) -> TrackerNodeParameters:
    """The parameters that hold where nothing is given: `preset`, which may be given, decides those of the tracker.

    Raises:
        ValueError: for a preset that is none.
    """
    kind = parameters_of(TrackerNodeParameters)["preset"].kind
    name = kind.from_plain("preset", given.get("preset", BUNDLED_PRESET))
    return TrackerNodeParameters(preset=name, tracker=preset(name))
