"""JSON from a weights file, with bounds that Python's reader does not have."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from trdimp_ros.checkpoints.errors import CheckpointError, printable

MAX_DIGITS = 24
"""The most characters of a whole number."""


def parse_json(text: str | bytes, limit: int, name: str) -> dict[str, Any]:
    """The object that a JSON text stands for; numbers are finite, no key occurs twice.

    Args:
        text: The JSON text.
        limit: The most characters or bytes that it may have.
        name: What the text is, for the error message.

    Raises:
        CheckpointError: for anything else.
    """
    if len(text) > limit:
        raise CheckpointError(f"{name} has {len(text)} characters; at most {limit} are read")

    def whole(digits: str) -> int:
        if len(digits) > MAX_DIGITS:
            raise ValueError("a number is too long")
        return int(digits)

    def refused(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        value = json.loads(text, parse_int=whole, parse_constant=refused, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else printable(str(error))
        raise CheckpointError(f"damaged: {name} is no JSON ({reason})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"damaged: {name} is no JSON object")
    return value


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) < len(pairs):
        raise ValueError("a key occurs twice")
    return items
