"""What a folder of golden data says of its entries: tolerances, which elements are stored, inputs that are no arrays.

`manifest.json` holds it where there is one. A set that comes with the table of its README.md alone is converted here,
which is the only place that reads prose.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"

_TABLE_ROW = re.compile(r"^\| `(?P<key>[^`/]+/[^`]+)` \|[^|]*\|[^|]*\| (?P<tolerance>[^|]*) \| (?P<text>.*) \|$", re.M)
_NUMBER = r"-?\d*\.?\d+"
_LISTED_NUMBERS = re.compile(rf"(?:[\s,()]*{_NUMBER}(?:/{_NUMBER})?)+")
_STORED = re.compile(r"stored \[([0-9:, ]+)\]")
_CASE = re.compile(r"(?P<name>\w+) (?P<changes>\{[^}]*\})(?P<keeps_scale> update_scale=False)?")
_STEPS = re.compile(rf"(?P<space>\w+) space, step (?P<step>\([^)]*\)|{_NUMBER}), decay (?P<decay>{_NUMBER})")


@dataclass(frozen=True)
class GoldenEntry:
    """One array of a golden set.

    Attributes:
        tolerance: The largest allowed difference; relative for ``.stats``, absolute for all others.
        stored: Start, stop and step along each dimension of the elements that are stored; None: all of them.
        inputs: What the numbers were computed from besides other arrays, by name.
    """

    tolerance: float
    stored: list[list[int | None]] | None = None
    inputs: dict[str, Any] = field(default_factory=dict)


def read_manifest(folder: Path) -> dict[str, GoldenEntry]:
    """The entries of a golden set by key.

    Args:
        folder: Holds `manifest.json`, or a README.md with a table of all entries.
    """
    if (folder / MANIFEST).is_file():
        content = json.loads((folder / MANIFEST).read_text())
        return {key: GoldenEntry(**entry) for key, entry in content.items()}
    return manifest_of_readme((folder / "README.md").read_text())


def write_manifest(folder: Path, entries: dict[str, GoldenEntry]) -> None:
    """Write `manifest.json`, a line an entry."""
    rows = (f"{json.dumps(key)}: {json.dumps(vars(entry))}" for key, entry in entries.items())
    (folder / MANIFEST).write_text("{\n" + ",\n".join(rows) + "\n}\n")


def manifest_of_readme(text: str) -> dict[str, GoldenEntry]:
    """Convert the table of a set's README.md.

    Raises:
        ValueError: for an entry that does not name the inputs that others of its kind name.
    """
    return {row["key"]: _entry(row["key"], row["tolerance"].strip(), row["text"]) for row in _TABLE_ROW.finditer(text)}


def _entry(key: str, tolerance: str, text: str) -> GoldenEntry:
    stored = _STORED.search(text)
    slices = None
    if stored:
        parts = (part.split(":") for part in stored[1].replace(" ", "").split(","))
        slices = [[int(number) if number else None for number in part] for part in parts]
    readers = [reader for pattern, reader in _INPUTS.items() if re.fullmatch(pattern, key)]
    exact = tolerance in ("exact", "input", "text")
    return GoldenEntry(
        0.0 if exact else float(tolerance.removeprefix("rel ")), slices, readers[0](text) if readers else {}
    )


def _numbers(text: str, words: str) -> list[float]:
    """The numbers that follow these words, up to the first word that is none: ``(2.3,4.1), (-1.5,9.2)``, ``80/2.2``."""
    _, found, rest = text.partition(words)
    listed = _LISTED_NUMBERS.match(rest)
    if not found or not listed:
        raise ValueError(f"no numbers after {words!r} in {text!r}")
    pairs = re.findall(rf"({_NUMBER})(?:/({_NUMBER}))?", listed[0])
    return [float(one) / float(divisor or 1) for one, divisor in pairs]


def _ascent(text: str) -> dict[str, Any]:
    steps = _STEPS.search(text)
    if steps is None:
        raise ValueError(f"no space, step and decay in {text!r}")
    length = ast.literal_eval(steps["step"])
    position, size = length if isinstance(length, tuple) else (length, length)
    return {
        "space": steps["space"],
        "position_step": float(position),
        "size_step": float(size),
        "decay": float(steps["decay"]),
    }


def _refined_cases(text: str) -> dict[str, Any]:
    cases = [
        {
            "name": case["name"],
            "changes": ast.literal_eval(case["changes"]),
            "update_scale": case["keeps_scale"] is None,
        }
        for case in _CASE.finditer(text.partition("with: ")[2])
    ]
    return {"cases": cases}


def _state_update(text: str) -> dict[str, Any]:
    listed = text.partition("new_scale) = ")[2].replace("none", "None")
    return {
        "size": _numbers(text, "before: target_sz"),
        "base_size": _numbers(text, "base_target_sz"),
        "image_size": _numbers(text, "image"),
        "scale": _numbers(text, "scale ")[0],
        "cases": [{"position": position, "scale": scale} for position, scale in ast.literal_eval(f"[{listed}]")],
    }


def _minimum_weight(text: str) -> dict[str, Any]:
    if "minimum_weight None" in text or "minimum_weight" not in text:
        return {"minimum_weight": 0.0}
    return {"minimum_weight": _numbers(text, "init_samples_minimum_weight ")[0]}


def _pairs(numbers: list[float]) -> list[list[float]]:
    return [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]


_INPUTS: dict[str, Callable[[str], dict[str, Any]]] = {
    r"optimizer/distance_map_small": lambda text: {
        "bin_width": _numbers(text, "bins of")[0],
        "centers": _pairs(_numbers(text, "centres")),
    },
    r"iounet/opt_\w+/boxes_\d+": _ascent,
    r"refine/out": _refined_cases,
    r"geometry/update_state": _state_update,
    r"sample_patch/multi_coords": lambda text: {
        "center": _numbers(text, " at"),
        "sample_size": int(_numbers(text, "sample size")[0]),
        "scales": _numbers(text, "scales"),
    },
    r"memory/\w+/weights": _minimum_weight,
    r"localize/ties/scores": lambda text: {
        "position": _numbers(text, "pos = sample_pos ="),
        "sample_scale": _numbers(text, "sample_scale")[0],
        "target_size": _numbers(text, "target_sz ="),
    },
    r"localize/plain/scores": lambda text: {"sample_scales": _numbers(text, "sample scales")},
    r"geometry/centered_pos": lambda text: {
        "position": _numbers(text, "for pos"),
        "scale": _numbers(text, "target_scale")[0],
        "sample_size": int(_numbers(text, ", S")[0]),
        "feature_and_filter_sizes": [
            [int(number) for number in pair] for pair in _pairs(_numbers(text, "(feature size, kernel) ="))
        ],
    },
}
"""How to read the inputs of the entries with these keys."""
