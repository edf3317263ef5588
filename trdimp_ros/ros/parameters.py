"""ROS parameters generated from `TrackerConfig`: name, type, description and range are written once, there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

from trdimp_ros.checkpoints import BUNDLED_PRESET
from trdimp_ros.tracking import PRESETS, TrackerConfig, preset
from trdimp_ros.tracking.config import parameter_info

PREFIX = "tracker."

ROS_TYPES = {
    "bool": ParameterType.PARAMETER_BOOL,
    "int": ParameterType.PARAMETER_INTEGER,
    "float": ParameterType.PARAMETER_DOUBLE,
    "BorderMode": ParameterType.PARAMETER_STRING,
    "RefinementSpace": ParameterType.PARAMETER_STRING,
}
PAIRS = "tuple[tuple[float, float], ...]"

FIXED_REASON = "is fixed while the node is configured; call the lifecycle transition cleanup first"


@dataclass(frozen=True)
class NodeParameter:
    """A parameter of the node itself; all are read at configure and fixed until cleanup.

    Attributes:
        default: Its default, which also gives its type.
        description: What it does.
        choices: Allowed values, None: any.
        minimum: Of a number.
        maximum: Of a number.
    """

    default: Any
    description: str
    choices: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None


NODE_PARAMETERS: dict[str, NodeParameter] = {
    "preset": NodeParameter(BUNDLED_PRESET, "Parameter set that tracker.* start from.", tuple(PRESETS)),
    "model.weights": NodeParameter(
        "",
        "Weights file, .safetensors or .pth.tar; empty: the bundled compact network for its preset, untrained weights "
        "for the others.",
    ),
    "model.device": NodeParameter("auto", "auto, cpu, cuda or cuda:N."),
    "model.precision": NodeParameter("float32", "Of backbone and attention.", ("float32", "float16", "bfloat16")),
    "model.threads": NodeParameter(
        0,
        "Threads of the processor that torch computes with; 0: its own choice, one per core. One less leaves a core to "
        "camera driver and controller.",
        None,
        0,
        1024,
    ),
    "autostart": NodeParameter(True, "Walk to active without a lifecycle manager; read at start-up."),
    "image_transport": NodeParameter("raw", "raw: topic image; compressed: image/compressed.", ("raw", "compressed")),
    "image_qos_reliability": NodeParameter(
        "best_effort",
        "Of the image subscription; best_effort also matches reliable cameras.",
        ("best_effort", "reliable"),
    ),
    "frame_buffer": NodeParameter(
        1.0, "Seconds of images kept, so that an init for a past image can catch up.", None, 0.0, 10.0
    ),
    "max_targets": NodeParameter(1, "Targets tracked at once; more than one is not supported yet.", None, 1, 1),
}


def node_descriptor(name: str) -> ParameterDescriptor:
    """Description and range of a node parameter."""
    parameter = NODE_PARAMETERS[name]
    text = parameter.description
    if parameter.choices:
        text += f" One of {', '.join(parameter.choices)}."
    descriptor = ParameterDescriptor(name=name, description=f"{text} Fixed while configured.")
    _set_range(descriptor, type(parameter.default).__name__, parameter.minimum, parameter.maximum)
    return descriptor


def check_node_parameter(name: str, value: Any) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        ValueError: naming the parameter, the value and the choices.
    """
    choices = NODE_PARAMETERS[name].choices
    if choices is not None and value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def tracker_descriptors() -> dict[str, ParameterDescriptor]:
    """Descriptors of all ``tracker.*`` parameters, by name."""
    descriptors = {}
    for spec in dataclasses.fields(TrackerConfig):
        info = parameter_info(spec)
        text = info.description if info.dynamic else f"{info.description} Fixed while configured."
        kind = str(spec.type)
        descriptor = ParameterDescriptor(
            name=PREFIX + spec.name,
            description=text,
            type=ROS_TYPES.get(kind, ParameterType.PARAMETER_DOUBLE_ARRAY),
        )
        _set_range(descriptor, kind, info.minimum, info.maximum)
        descriptors[PREFIX + spec.name] = descriptor
    return descriptors


def to_parameter_values(config: TrackerConfig) -> dict[str, Any]:
    """All ``tracker.*`` values as ROS knows them: pairs are written one after another in one array."""
    return {PREFIX + spec.name: _to_ros(getattr(config, spec.name)) for spec in dataclasses.fields(config)}


def to_config(values: dict[str, Any], base: TrackerConfig) -> TrackerConfig:
    """The configuration with some ``tracker.*`` values changed.

    Raises:
        ValueError: for a value that cannot be, naming it.
    """
    kinds = {spec.name: str(spec.type) for spec in dataclasses.fields(TrackerConfig)}
    fields = {}
    for name, value in values.items():
        field = name.removeprefix(PREFIX)
        fields[field] = _from_ros(field, kinds[field], value)
    return dataclasses.replace(base, **fields)


def is_dynamic(name: str) -> bool:
    """Whether a parameter may change while the node is configured."""
    specs = {PREFIX + spec.name: spec for spec in dataclasses.fields(TrackerConfig)}
    return name in specs and parameter_info(specs[name]).dynamic


def preset_values(name: str) -> dict[str, Any]:
    """The ``tracker.*`` values of a preset."""
    return to_parameter_values(preset(name))


def _set_range(descriptor: ParameterDescriptor, kind: str, minimum: float | None, maximum: float | None) -> None:
    if minimum is None or maximum is None:
        return
    if kind == "int":
        descriptor.integer_range = [IntegerRange(from_value=int(minimum), to_value=int(maximum), step=1)]
    elif kind == "float":
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(minimum), to_value=float(maximum))]


def _to_ros(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    return [float(number) for item in value for number in (item if isinstance(item, tuple) else (item,))]


def _from_ros(name: str, kind: str, value: Any) -> Any:
    if not kind.startswith("tuple"):
        return value
    numbers = tuple(float(number) for number in value)
    if kind != PAIRS:
        return numbers
    if len(numbers) % 2:
        raise ValueError(f"{PREFIX}{name} holds pairs and must have an even number of values, got {len(numbers)}")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))
