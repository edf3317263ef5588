"""Pictures of curves; needs matplotlib (extra `eval`), which is loaded when the first one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trdimp_ros.media.files import complete_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sides in inches.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise ValueError("plots need matplotlib: pip install 'trdimp_ros[eval]'") from error
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a PNG file, which appears when it is complete."""
    with complete_file(path) as file:
        figure.savefig(file, format="png")
