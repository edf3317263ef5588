"""Every layer imports only those below it, and rclpy is imported in `ros` alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import trdimp_ros

PACKAGE = Path(trdimp_ros.__file__).parent
BASE = {"openmp"}
"""Modules below all layers."""

LAYERS = {
    "parameters": set(),
    "models": set(),
    "checkpoints": {"models"},
    "training": {"parameters", "models", "tracking", "sessions", "media", "evaluation"},
    "tracking": {"parameters", "models"},
    "sessions": {"parameters", "tracking"},
    "media": {"sessions", "tracking"},
    "evaluation": {"sessions", "tracking", "media"},
    "cli": {"parameters", "models", "checkpoints", "tracking", "sessions", "media", "evaluation", "training"},
    "ros": {"parameters", "models", "checkpoints", "tracking", "sessions", "media", "evaluation", "msg", "srv"},
    # Helpers for tests and benchmarks; imported by nothing in the package.
    "testing": {"models", "checkpoints", "tracking", "sessions", "media", "evaluation", "ros", "msg"},
}
ROS_MODULES = {"rclpy", "cv_bridge", "vision_msgs", "sensor_msgs", "geometry_msgs", "std_msgs", "launch"}


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("layer", [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()])
def test_layers_import_downwards(layer):
    assert layer in LAYERS, f"layer {layer} is not in the table of layers"
    for file in (PACKAGE / layer).rglob("*.py"):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "trdimp_ros" and len(parts) > 1:
                assert parts[1] in LAYERS[layer] | {layer} | BASE, f"{file} imports {name}"
            if layer not in ("ros", "testing"):
                assert parts[0] not in ROS_MODULES, f"{file} imports {name}"
