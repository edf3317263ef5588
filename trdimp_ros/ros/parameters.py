"""ROS parameters generated from `TrackerConfig`: name, type, description and range are written once, there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

from trdimp_ros.checkpoints import BUNDLED_PRESET
from trdimp_ros.parameters import (
    Boolean,
    Choice,
    Number,
    NumberList,
    PairList,
    Text,
    WholeNumber,
    parameter_values,
    parameters_of,
    with_parameters,
)
from trdimp_ros.tracking import PRESETS, TrackerConfig, preset

PREFIX = "tracker."

ROS_TYPES = {
    Boolean: ParameterType.PARAMETER_BOOL,
    WholeNumber: ParameterType.PARAMETER_INTEGER,
    Number: ParameterType.PARAMETER_DOUBLE,
    Text: ParameterType.PARAMETER_STRING,
    Choice: ParameterType.PARAMETER_STRING,
    NumberList: ParameterType.PARAMETER_DOUBLE_ARRAY,
    PairList: ParameterType.PARAMETER_DOUBLE_ARRAY,
}


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
    for name, info in parameters_of(TrackerConfig).items():
        text = info.description if info.dynamic else f"{info.description} Fixed while configured."
        descriptor = ParameterDescriptor(name=PREFIX + name, description=text, type=ROS_TYPES[type(info.kind)])
        if isinstance(info.kind, (WholeNumber, Number)):
            kind = "int" if isinstance(info.kind, WholeNumber) else "float"
            _set_range(descriptor, kind, info.kind.minimum, info.kind.maximum)
        descriptors[PREFIX + name] = descriptor
    return descriptors


def to_parameter_values(config: TrackerConfig) -> dict[str, Any]:
    """All ``tracker.*`` values as ROS knows them: pairs are written one after another in one array."""
    known = parameters_of(TrackerConfig)
    return {PREFIX + name: known[name].kind.to_plain(value) for name, value in parameter_values(config).items()}


def to_config(values: dict[str, Any], base: TrackerConfig) -> TrackerConfig:
    """The configuration with some ``tracker.*`` values changed.

    Raises:
        ValueError: for a value that cannot be, naming it.
    """
    known = parameters_of(TrackerConfig)
    fields = {}
    for name, value in values.items():
        field = name.removeprefix(PREFIX)
        fields[field] = known[field].kind.from_plain(name, value)
    return with_parameters(base, fields)


def is_dynamic(name: str) -> bool:
    """Whether a parameter may change while the node is configured."""
    known = parameters_of(TrackerConfig)
    field = name.removeprefix(PREFIX)
    return name.startswith(PREFIX) and field in known and known[field].dynamic


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
