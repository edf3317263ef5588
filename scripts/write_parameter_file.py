"""Write config/tracker.yaml from the parameters' definitions: `make parameters`. A test checks that it is current."""

from __future__ import annotations

import textwrap
from pathlib import Path

from trdimp_ros.parameters import Boolean, Text, parameter_values, parameters_of
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters, tracker_defaults

HEAD = """\
# All parameters of the node `tracker` with their defaults (preset {preset}). Written by `make parameters`; to change
# values, copy this file and give the copy as params_file. A value left out comes from the preset: with another preset,
# leave out every tracker.* value that you do not want to change.
# Parameters marked [dynamic] can be changed while the node runs (ros2 param set /tracker NAME VALUE).
"""


def shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(repr(number) for number in value) + "]"
    return repr(value)


def text() -> str:
    defaults = tracker_defaults({})
    lines = [HEAD.format(preset=defaults.preset) + "/**:", "  ros__parameters:"]
    values = parameter_values(defaults)
    group = ""
    for name, info in parameters_of(TrackerNodeParameters).items():
        section, _, leaf = name.rpartition(".")
        mark = "# " if section == "tracker" else ""  # a preset decides these, so they are not set by the file
        if section and section != group:
            lines.append(f"    {mark}{section}:")
        group = section
        indent = "      " if section else "    "
        limits = "" if isinstance(info.kind, (Boolean, Text)) else f"[{info.kind.wanted()}]"
        comment = f"{info.description} {limits}{' [dynamic]' if info.dynamic else ''}"
        lines += [f"{indent}# {line}" for line in textwrap.wrap(comment, 110 - len(indent))]
        lines += [f"{indent}{mark}{leaf}: {shown(info.kind.to_plain(values[name]))}", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("config", "tracker.yaml").write_text(text())
