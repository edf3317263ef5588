"""The kinds of parameters: what a value may be, how it is read from text, and how YAML and ROS write it."""

from __future__ import annotations

import math
import reprlib
from abc import ABC, abstractmethod
from array import array
from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 4096
LONGEST_LIST = 32

YAML_SWITCH = {True: "on", False: "off"}
"""The words that YAML takes for truth values, of those that parameters have as choices."""

_shown = reprlib.Repr()
_shown.maxstring = _shown.maxother = 80


class Kind(ABC):
    """What values a parameter may have.

    A value has three forms: the one that code works with (``True``, ``3``, ``"inside"``, ``(1.0,)``,
    ``((3.0, 1.0), (1.0, 3.0))``), the plain one of YAML and ROS (scalars and flat lists), and text on a command line.
    """

    @abstractmethod
    def wanted(self) -> str:
        """What a value must be, to be read after "must be": ``a number from 0 to 1``."""

    @abstractmethod
    def allows(self, value: Any) -> bool:
        """Whether a value in the form that code works with is allowed."""

    @abstractmethod
    def read(self, text: str) -> Any:
        """The value that a text stands for, not yet checked.

        Raises:
            ValueError: for a text that stands for no such value.
        """

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that is not allowed.

        Raises:
            ValueError: saying what the parameter of this name must be, and what it got.
        """
        if not self.allows(value):
            raise ValueError(self.refusal(name, value))

    def parse(self, name: str, text: str) -> Any:
        """The allowed value that a text on the command line stands for.

        Raises:
            ValueError: saying what the parameter of this name must be, and what it got.
        """
        try:
            value = self.read(text)
        except ValueError:
            raise ValueError(self.refusal(name, text)) from None
        self.check(name, value)
        return value

    def to_plain(self, value: Any) -> Any:
        """The form in which YAML and ROS know a value."""
        return value

    def from_plain(self, name: str, plain: Any) -> Any:
        """The allowed value that a plain one stands for.

        Raises:
            ValueError: saying what the parameter of this name must be, and what it got.
        """
        self.check(name, plain)
        return plain

    def refusal(self, name: str, value: Any) -> str:
        """One line for a user: the parameter, what it must be, and what it got."""
        return f"{name} must be {self.wanted()}, got {_shown.repr(value)}"


@dataclass(frozen=True)
class Boolean(Kind):
    """``true`` or ``false``."""

    def wanted(self) -> str:
        return "true or false"

    def allows(self, value: Any) -> bool:
        return isinstance(value, bool)

    def read(self, text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise ValueError
        return text.lower() == "true"


@dataclass(frozen=True)
class Text(Kind):
    """Any text that is not absurdly long."""

    def wanted(self) -> str:
        return f"a text of at most {LONGEST_TEXT} characters"

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and len(value) <= LONGEST_TEXT

    def read(self, text: str) -> str:
        return text


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words.

    Attributes:
        choices: The words.
    """

    choices: tuple[str, ...]

    def wanted(self) -> str:
        return f"one of {', '.join(self.choices)}"

    def allows(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.choices

    def read(self, text: str) -> str:
        return text

    def from_plain(self, name: str, plain: Any) -> str:
        # YAML reads the bare words on and off as true and false, and `ros2 param` reads even quoted ones so.
        word = YAML_SWITCH[plain] if isinstance(plain, bool) else plain
        self.check(name, word if word in self.choices else plain)
        return word


@dataclass(frozen=True)
class _Range:
    """The finite numbers from a smallest to a largest one.

    Attributes:
        minimum: The smallest number, None without one.
        maximum: The largest number, None without one.
        above: A number that must be exceeded, None without one.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None

    def limits(self) -> str:
        words = []
        if self.above is not None:
            words.append(f"above {_number(self.above)}")
        if self.minimum is not None and self.maximum is not None:
            words.append(f"from {_number(self.minimum)} to {_number(self.maximum)}")
        elif self.minimum is not None:
            words.append(f"of at least {_number(self.minimum)}")
        elif self.maximum is not None:
            words.append(f"of at most {_number(self.maximum)}")
        return " and ".join(words)

    def contains(self, number: Any) -> bool:
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return False
        try:
            if not math.isfinite(number):
                return False
        except OverflowError:  # a whole number that no float can hold
            return False
        return (
            (self.minimum is None or number >= self.minimum)
            and (self.maximum is None or number <= self.maximum)
            and (self.above is None or number > self.above)
        )


@dataclass(frozen=True)
class WholeNumber(_Range, Kind):
    """A whole number in a range."""

    def wanted(self) -> str:
        return f"a whole number {self.limits()}".rstrip()

    def allows(self, value: Any) -> bool:
        return isinstance(value, int) and self.contains(value)

    def read(self, text: str) -> int:
        return int(text)


@dataclass(frozen=True)
class Number(_Range, Kind):
    """A finite number in a range. YAML and ROS write it with a decimal point."""

    def wanted(self) -> str:
        return f"a number {self.limits()}".rstrip()

    def allows(self, value: Any) -> bool:
        return self.contains(value)

    def read(self, text: str) -> float:
        return float(text)

    def to_plain(self, value: float) -> float:
        return float(value)

    def from_plain(self, name: str, plain: Any) -> float:
        if isinstance(plain, int) and self.allows(plain):
            raise ValueError(f"{name} needs a decimal point in YAML and ROS: write {float(plain)}, not {plain}")
        self.check(name, plain)
        return float(plain)


@dataclass(frozen=True)
class NumberList(_Range, Kind):
    """A tuple of numbers that share one range; on a command line ``1,1.03,0.97``.

    Attributes:
        shortest: Fewest numbers.
        longest: Most numbers.
    """

    shortest: int = 0
    longest: int = LONGEST_LIST

    def wanted(self) -> str:
        return f"{_count(self.shortest, self.longest)} numbers {self.limits()}".rstrip()

    def allows(self, value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and self.shortest <= len(value) <= self.longest
            and all(self.contains(number) for number in value)
        )

    def read(self, text: str) -> tuple[float, ...]:
        return _read_numbers(text, ",")

    def to_plain(self, value: tuple[float, ...]) -> list[float]:
        return [float(number) for number in value]

    def from_plain(self, name: str, plain: Any) -> tuple[float, ...]:
        numbers = _plain_list(name, plain, self)
        self.check(name, numbers)
        return _plain_numbers(name, numbers)


@dataclass(frozen=True)
class PairList(_Range, Kind):
    """A tuple of pairs of numbers that share one range.

    On a command line ``3:1,1:3``; YAML and ROS write the numbers of all pairs one after another in one list.

    Attributes:
        shortest: Fewest pairs.
        longest: Most pairs.
    """

    shortest: int = 0
    longest: int = LONGEST_LIST

    def wanted(self) -> str:
        return f"{_count(self.shortest, self.longest)} pairs of numbers {self.limits()}".rstrip()

    def allows(self, value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and self.shortest <= len(value) <= self.longest
            and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)
            and all(self.contains(number) for pair in value for number in pair)
        )

    def read(self, text: str) -> tuple[tuple[float, ...], ...]:
        return tuple(_read_numbers(pair, ":") for pair in text.split(",")) if text else ()

    def to_plain(self, value: tuple[tuple[float, float], ...]) -> list[float]:
        return [float(number) for pair in value for number in pair]

    def from_plain(self, name: str, plain: Any) -> tuple[tuple[float, float], ...]:
        numbers = _plain_list(name, plain, self)
        if len(numbers) % 2:
            raise ValueError(f"{name} holds pairs and must have an even count of numbers, got {len(numbers)}")
        self.check(name, tuple(zip(numbers[::2], numbers[1::2], strict=True)))
        numbers = _plain_numbers(name, numbers)
        return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _number(limit: float) -> str:
    """A limit as a person writes it: 0.05, 1, 1000000."""
    return str(int(limit)) if limit == int(limit) else repr(limit)


def _count(shortest: int, longest: int) -> str:
    if shortest == longest:
        return str(shortest)
    return f"at most {longest}" if shortest == 0 else f"{shortest} to {longest}"


def _read_numbers(text: str, separator: str) -> tuple[float, ...]:
    return tuple(float(number) for number in text.split(separator)) if text else ()


def _plain_list(name: str, plain: Any, kind: Kind) -> tuple[Any, ...]:
    """A plain list of anything as a tuple."""
    if not isinstance(plain, (list, tuple, array)):
        raise ValueError(kind.refusal(name, plain))
    return tuple(plain)


def _plain_numbers(name: str, numbers: tuple[Any, ...]) -> tuple[float, ...]:
    """Numbers as floats, refused where they were written without decimal point."""
    if any(isinstance(number, int) for number in numbers):
        better = [float(number) for number in numbers]
        raise ValueError(f"{name} needs decimal points in YAML and ROS: write {better}, not {list(numbers)}")
    return numbers
