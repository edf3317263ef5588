"""Checks of a network's sizes, which may come from a file."""

from __future__ import annotations

MAX_CHANNELS = 8192
"""The most channels of a feature; four times the widest of a ResNet-50."""


def check_whole(name: str, value: object, least: int, most: int = MAX_CHANNELS) -> None:
    """Refuse anything but a whole number within bounds.

    Args:
        name: What the number is, for the error message.
        value: The number.
        least: The smallest value allowed.
        most: The largest value allowed.

    Raises:
        ValueError: if it is no whole number or out of bounds.
    """
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r:.100}")


def check_real(name: str, value: object, least: float, most: float) -> None:
    """Refuse anything but a number within bounds; the arguments are those of `check_whole`.

    Raises:
        ValueError: if it is no number, not finite or out of bounds.
    """
    if type(value) not in (int, float) or not least <= value <= most:  # type: ignore[operator]
        raise ValueError(f"{name} must be a number from {least} to {most}, got {value!r:.100}")
