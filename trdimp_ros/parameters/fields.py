"""Dataclass fields that are parameters: declared by `parameter` and `section`, read by everything that sets them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from trdimp_ros.parameters.kinds import (
    LONGEST_LIST,
    Boolean,
    Choice,
    Kind,
    Number,
    NumberList,
    PairList,
    Text,
    WholeNumber,
)

Config = TypeVar("Config")

_METADATA = "trdimp_ros.parameter"
_SECTION = "section"
_resolved: dict[type, Mapping[str, ParameterInfo]] = {}


@dataclass(frozen=True)
class ParameterInfo:
    """What anybody who offers a parameter to a user needs to know of it.

    Attributes:
        name: The parameter's name, with a point after each section that it lies in: ``model.weights``.
        kind: What values it may have.
        default: The parameter's value where nobody gives one.
        description: What it does, and what raising it does.
        dynamic: Whether it may change while what it configures is at work.
    """

    name: str
    kind: Kind
    default: Any
    description: str
    dynamic: bool


@dataclass(frozen=True)
class _Declaration:
    """What `parameter` was given besides the default; the annotation says the rest."""

    description: str
    minimum: float | None
    maximum: float | None
    dynamic: bool
    above: float | None
    choices: tuple[str, ...] | None
    shortest: int
    longest: int


def parameter(
    default: Any,
    description: str,
    minimum: float | None = None,
    maximum: float | None = None,
    dynamic: bool = True,
    *,
    above: float | None = None,
    choices: Iterable[str] | None = None,
    shortest: int = 0,
    longest: int = LONGEST_LIST,
) -> Any:
    """A dataclass field that is a parameter. Its annotation says of which kind.

    ``bool``, ``int``, ``float``, ``str``, ``Literal["a", "b"]``, ``tuple[float, ...]``, ``tuple[float, float]`` (so
    many numbers exactly) and ``tuple[tuple[float, float], ...]`` are understood.

    Args:
        default: The value where nobody gives one.
        description: What it does, and what raising it does.
        minimum: The smallest number allowed, also within lists; None: no limit.
        maximum: The largest number allowed, also within lists; None: no limit.
        dynamic: Whether the value may change while what it configures is at work.
        above: A number that the value must exceed, where the smallest number itself is not allowed.
        choices: The allowed values of a ``str``, where they are not written in the annotation.
        shortest: Fewest entries of a list.
        longest: Most entries of a list.
    """
    words = None if choices is None else tuple(choices)
    declaration = _Declaration(description, minimum, maximum, dynamic, above, words, shortest, longest)
    return dataclasses.field(default=default, metadata={_METADATA: declaration})


def section(kind: type) -> Any:
    """A dataclass field that holds parameters of its own, as a dataclass of this type with its defaults."""
    return dataclasses.field(default_factory=kind, metadata={_METADATA: _SECTION})


def parameters_of(kind: type) -> Mapping[str, ParameterInfo]:
    """All parameters of a dataclass by name, in the order of declaration; those of sections with their full names.

    Raises:
        TypeError: for a field without declaration or with an annotation that is not understood.
    """
    if kind not in _resolved:
        _resolved[kind] = _resolve(kind)
    return _resolved[kind]


def _resolve(kind: type) -> dict[str, ParameterInfo]:
    found: dict[str, ParameterInfo] = {}
    hints = get_type_hints(kind)
    for spec in dataclasses.fields(kind):
        declaration = spec.metadata.get(_METADATA)
        if declaration == _SECTION:
            inner = parameters_of(hints[spec.name])
            for name, info in inner.items():
                full = f"{spec.name}.{name}"
                found[full] = dataclasses.replace(info, name=full)
        elif isinstance(declaration, _Declaration):
            found[spec.name] = ParameterInfo(
                spec.name,
                _kind_of(kind, spec.name, hints[spec.name], declaration),
                spec.default,
                declaration.description,
                declaration.dynamic,
            )
        else:
            raise TypeError(f"{kind.__name__}.{spec.name} must be declared with parameter() or section()")
    return found


def check_parameters(config: Any) -> None:
    """Refuse values that are not allowed; to be called from ``__post_init__``. Sections have checked themselves.

    Raises:
        ValueError: naming the parameter, what it must be and what it got.
    """
    for name, info in parameters_of(type(config)).items():
        if "." not in name:
            info.kind.check(name, getattr(config, name))


def parameter_values(config: Any) -> dict[str, Any]:
    """All values by their full names."""
    values = {}
    for name in parameters_of(type(config)):
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        values[name] = value
    return values


def with_parameters(config: Config, values: Mapping[str, Any]) -> Config:
    """The same configuration with some values changed, all at once.

    Raises:
        ValueError: for an unknown name, or values that are not allowed, alone or together.
    """
    known = parameters_of(type(config))
    for name, value in values.items():
        if name not in known:
            raise ValueError(unknown_parameter(name, known))
        known[name].kind.check(name, value)
    return _replaced(config, values)


def changed_by_text(config: Config, changes: Iterable[str]) -> Config:
    """The same configuration with changes applied that are written ``NAME=VALUE``.

    Raises:
        ValueError: for a change of another form, an unknown name, or a value that is not allowed.
    """
    known = parameters_of(type(config))
    values = {}
    for change in changes:
        name, separator, text = change.partition("=")
        if not separator:
            raise ValueError(f"a change is written NAME=VALUE, got {change!r}")
        if name not in known:
            raise ValueError(unknown_parameter(name, known))
        values[name] = known[name].kind.parse(name, text)
    return _replaced(config, values)


def unknown_parameter(name: str, known: Iterable[str]) -> str:
    """One line about a name that is no parameter, with the nearest name that is one."""
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    nearest = difflib.get_close_matches(name[:80], list(known), 1)
    return f"unknown parameter {shown!r}" + (f"; did you mean {nearest[0]}?" if nearest else "")


def _replaced(config: Config, values: Mapping[str, Any]) -> Config:
    own = {}
    inner: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        head, separator, rest = name.partition(".")
        if separator:
            inner.setdefault(head, {})[rest] = value
        else:
            own[head] = value
    for head, changes in inner.items():
        try:
            own[head] = _replaced(getattr(config, head), changes)
        except ValueError as error:  # these texts begin with the parameter's name
            raise ValueError(f"{head}.{error}") from None
    return dataclasses.replace(config, **own)  # type: ignore[type-var]  # no type says "any dataclass"


def _kind_of(owner: type, name: str, hint: Any, declaration: _Declaration) -> Kind:
    limits = declaration.minimum, declaration.maximum, declaration.above
    lengths = declaration.shortest, declaration.longest
    kinds: dict[Any, Kind] = {
        bool: Boolean(),
        int: WholeNumber(*limits),
        float: Number(*limits),
        str: Text() if declaration.choices is None else Choice(declaration.choices),
        tuple[float, ...]: NumberList(*limits, *lengths),
        tuple[tuple[float, float], ...]: PairList(*limits, *lengths),
    }
    if hint in kinds:
        return kinds[hint]
    if get_origin(hint) is Literal:
        return Choice(get_args(hint))
    count = len(get_args(hint))
    if hint == tuple[(float,) * count]:  # type: ignore[misc]  # made at run time
        return NumberList(*limits, count, count)
    raise TypeError(f"{owner.__name__}.{name}: no kind of parameter is annotated {hint}")
