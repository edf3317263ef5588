"""ROS parameters from the fields of a dataclass: declared, described, checked and changed as one typed value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from trdimp_ros.parameters import (
    Boolean,
    Choice,
    Kind,
    Number,
    NumberList,
    PairList,
    ParameterInfo,
    Text,
    WholeNumber,
    parameter_values,
    parameters_of,
    unknown_parameter,
    with_parameters,
)

Config = TypeVar("Config")

ROS_TYPES: dict[type[Kind], int] = {
    Boolean: ParameterType.PARAMETER_BOOL,
    WholeNumber: ParameterType.PARAMETER_INTEGER,
    Number: ParameterType.PARAMETER_DOUBLE,
    Text: ParameterType.PARAMETER_STRING,
    Choice: ParameterType.PARAMETER_STRING,
    NumberList: ParameterType.PARAMETER_DOUBLE_ARRAY,
    PairList: ParameterType.PARAMETER_DOUBLE_ARRAY,
}


class ParameterNode(Node, Generic[Config]):
    """A node whose parameters are the fields of one frozen dataclass.

    The values given at the start are checked together, so that their order cannot matter; later changes are all or
    nothing. A parameter that is not dynamic accepts the value that it has, so that a node can load what ``ros2 param
    dump`` wrote of it.

    Args:
        name: The node's name.
        defaults: Makes the values that hold where nothing is given; it gets what is given, in its plain form, since one
            parameter may decide the defaults of others.
        options: Further arguments of `rclpy.node.Node`.

    Attributes:
        parameters: All values in force.

    Raises:
        ValueError: for given values that cannot be, naming the parameter, the value and what is wanted.
    """

    def __init__(self, name: str, defaults: Callable[[Mapping[str, Any]], Config], **options: Any) -> None:
        super().__init__(name, **options)
        # The only complete list of what files and command line give, also of names that nobody declares.
        given = {key: value.value for key, value in self._parameter_overrides.items()}
        base = defaults(given)
        known = parameters_of(type(base))
        for key in given:
            # rclpy declares its own parameters itself, those of quality of service only when they are needed.
            if key not in known and not self.has_parameter(key) and not key.startswith("qos_overrides."):
                self.get_logger().warning(f"ignored: {unknown_parameter(key, known)}")
        values = {key: _value(known[key], given[key], or_empty=True) for key in given if key in known}
        self.parameters: Config = with_parameters(base, values)
        for key, info in known.items():
            ros_type = Parameter.Type(ROS_TYPES[type(info.kind)])
            self.declare_parameter(key, ros_type, descriptor(info), ignore_override=True)
        values = parameter_values(self.parameters)
        super().set_parameters_atomically([_ros_parameter(known[key], values[key]) for key in known])

    def why_fixed(self) -> str | None:
        """Why parameters that are not dynamic cannot change now and what to do; None where they can."""
        return "is read at the start; start the node anew with another value"

    def on_parameters_changed(self) -> None:
        """Called after `parameters` has got new values."""

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """Set all of the parameters or, with a reason, none. Everything that sets parameters comes through here.

        rclpy would check types and ranges before any callback, in words of its own that do not name the parameter.
        """
        try:
            wanted, changes = self._checked(parameter_list)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if changes:
            result = super().set_parameters_atomically(changes)
            if not result.successful:
                return result
        if wanted != self.parameters:
            self.parameters = wanted
            self.on_parameters_changed()
        return SetParametersResult(successful=True)

    def change_parameters(self, values: Mapping[str, Any]) -> None:
        """Set parameters from within the node, all or none, by their names and the values that code works with.

        Raises:
            ValueError: for values that are refused.
        """
        known = parameters_of(type(self.parameters))
        changes = [_ros_parameter(known[name], value) for name, value in values.items()]
        result = self.set_parameters_atomically(changes)
        if not result.successful:
            raise ValueError(result.reason)

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """Set each parameter for itself."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def _checked(self, parameters: list[Parameter]) -> tuple[Config, list[Parameter]]:
        """The values after the changes, and the changes that differ from what there is.

        Raises:
            ValueError: for a change that is refused.
        """
        known = parameters_of(type(self.parameters))
        now = parameter_values(self.parameters)
        values, changes = {}, []
        for parameter in parameters:
            name = parameter.name
            if name in known:
                info = known[name]
                value = _value(info, parameter.value)
                if value == now[name]:
                    continue
                reason = None if info.dynamic else self.why_fixed()
                if reason is not None:
                    raise ValueError(f"{name} {reason}")
                values[name] = value
                changes.append(_ros_parameter(info, value))
            elif not self.has_parameter(name):
                raise ValueError(unknown_parameter(name, known))
            elif (
                parameter.value != self.get_parameter(name).value
            ):  # rclpy's own read-only ones accept their value, too
                changes.append(parameter)
        return with_parameters(self.parameters, values), changes


def descriptor(info: ParameterInfo) -> ParameterDescriptor:
    """What ROS tells a user of a parameter: type, description, range."""
    kind = info.kind
    made = ParameterDescriptor(
        name=info.name,
        type=ROS_TYPES[type(kind)],
        description=info.description if info.dynamic else f"{info.description} Fixed while the node is at work.",
        additional_constraints=f"must be {kind.wanted()}",
    )
    if isinstance(kind, (WholeNumber, Number)):
        low, high = kind.above if kind.minimum is None else kind.minimum, kind.maximum
        if low is not None and high is not None:
            if isinstance(kind, WholeNumber):
                made.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
            else:
                made.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    return made


def plain_values(config: Any) -> dict[str, Any]:
    """All values by name, as ROS and YAML know them: pairs are written one after another in one list."""
    known = parameters_of(type(config))
    return {name: known[name].kind.to_plain(value) for name, value in parameter_values(config).items()}


def _value(info: ParameterInfo, plain: Any, or_empty: bool = False) -> Any:
    """The allowed value that a plain one stands for.

    Args:
        info: The parameter.
        plain: The parameter's value as rclpy knows it.
        or_empty: Whether no value stands for an empty list: rcl makes that of ``[]`` in a file.

    Raises:
        ValueError: naming the parameter, the value and what is wanted.
    """
    if or_empty and plain is None and isinstance(info.kind, (NumberList, PairList)):
        plain = []
    return info.kind.from_plain(info.name, plain)


def _ros_parameter(info: ParameterInfo, value: Any) -> Parameter:
    """A value as rclpy takes it; the type is named, since an empty list would not show it."""
    return Parameter(info.name, Parameter.Type(ROS_TYPES[type(info.kind)]), info.kind.to_plain(value))
