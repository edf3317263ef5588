"""Write config/tracker.yaml from the parameters' definitions: `make parameters`. A test checks that it is current."""

from __future__ import annotations

import textwrap
from pathlib import Path

from trdimp_ros.ros import parameters

DEFAULT_PRESET = parameters.NODE_PARAMETERS["preset"].default

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


def entry(name: str, value: object, description: str, limits: str, indent: str, enabled: bool) -> list[str]:
    comment = textwrap.wrap(f"{description} {limits}".strip(), 110 - len(indent))
    lines = [f"{indent}# {line}" for line in comment]
    return [*lines, f"{indent}{'' if enabled else '# '}{name}: {shown(value)}", ""]


def text() -> str:
    lines = [HEAD.format(preset=DEFAULT_PRESET) + "/**:", "  ros__parameters:"]
    for name, parameter in parameters.NODE_PARAMETERS.items():
        group, _, leaf = name.rpartition(".")
        if group and f"    {group}:" not in lines:
            lines.append(f"    {group}:")
        indent = "      " if group else "    "
        descriptor = parameters.node_descriptor(name)
        lines += entry(leaf, parameter.default, descriptor.description, "", indent, enabled=True)
    lines += ["    # tracker:"]
    values = parameters.preset_values(DEFAULT_PRESET)
    for name, descriptor in parameters.tracker_descriptors().items():
        ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
        limits = f"[{ranges[0].from_value:g} to {ranges[0].to_value:g}]" if ranges else ""
        if parameters.is_dynamic(name):
            limits = f"{limits} [dynamic]".strip()
        leaf = name.removeprefix(parameters.PREFIX)
        lines += entry(leaf, values[name], descriptor.description, limits, "      ", enabled=False)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath("config", "tracker.yaml").write_text(text())
