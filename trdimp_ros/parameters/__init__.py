"""Parameters as fields of frozen dataclasses: type, default, range and description are written once.

Nodes, the command line, the training options and the library all read the same definitions, and refuse a value in the
same words.
"""

from trdimp_ros.parameters.fields import (
    ParameterInfo,
    changed_by_text,
    check_parameters,
    parameter,
    parameter_values,
    parameters_of,
    section,
    unknown_parameter,
    with_parameters,
)
from trdimp_ros.parameters.kinds import Boolean, Choice, Kind, Number, NumberList, PairList, Text, WholeNumber

__all__ = [
    "Boolean",
    "Choice",
    "Kind",
    "Number",
    "NumberList",
    "PairList",
    "ParameterInfo",
    "Text",
    "WholeNumber",
    "changed_by_text",
    "check_parameters",
    "parameter",
    "parameter_values",
    "parameters_of",
    "section",
    "unknown_parameter",
    "with_parameters",
]
