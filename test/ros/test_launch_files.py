"""The launch files: with launch's own API where it can be imported, by reading them elsewhere.

launch is not on PyPI, so the wheel-made environment has none and only the second half runs there.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from trdimp_ros.parameters import parameters_of
from trdimp_ros.ros.camera_node import CameraParameters
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters

ROOT = Path(__file__).parents[2]
WANTED = {
    "tracker.launch.py": {
        "image", "camera_info", "params_file", "namespace", "preset", "weights", "device", "autostart", "respawn",
        "rviz", "log_level",
    },
    "demo.launch.py": {"source", "rate", "contact_sheet", "params_file", "preset", "weights", "device"},
}  # fmt: skip
HAS_LAUNCH = importlib.util.find_spec("launch_ros") is not None


@pytest.mark.parametrize("name", WANTED)
def test_launch_files_declare_their_arguments(name):
    tree = ast.parse((ROOT / "launch" / name).read_text())
    tables = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS"
    ]
    assert {ast.literal_eval(key) for key in tables[0].keys} == WANTED[name]
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert "generate_launch_description" in functions


def test_launch_files_name_executables_and_parameters_that_exist():
    executables = set()
    for file in (ROOT / "launch").glob("*.launch.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "executable":
                executables.add(ast.literal_eval(node.value))
    for executable in executables - {"rviz2"}:
        assert importlib.util.find_spec(f"trdimp_ros.ros.{executable}") is not None
    tracker = (ROOT / "launch" / "tracker.launch.py").read_text()
    for name in ("preset", "model.weights", "model.device", "autostart"):
        assert f'"{name}"' in tracker
        assert name in parameters_of(TrackerNodeParameters)
    demo = (ROOT / "launch" / "demo.launch.py").read_text()
    for name in ("source", "rate", "contact_sheet"):
        assert f'"{name}"' in demo
        assert name in parameters_of(CameraParameters)


@pytest.mark.skipif(not HAS_LAUNCH, reason="launch is not installable here; runs where ROS is installed")
@pytest.mark.parametrize("name", WANTED)
def test_launch_descriptions_build(name):
    spec = importlib.util.spec_from_file_location("launch_file", ROOT / "launch" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared = {argument.name for argument in module.generate_launch_description().get_launch_arguments()}
    assert WANTED[name] <= declared


def test_configuration_files_are_well_formed():
    rviz = yaml.safe_load((ROOT / "config" / "tracker.rviz").read_text())
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "tracker_image_plane"
    assert any(tool["Class"].endswith("PublishPoint") for tool in manager["Tools"])
    profile = ElementTree.parse(ROOT / "config" / "fastdds_large_images.xml").getroot()
    sizes = [int(element.text) for element in profile.iter() if element.tag.endswith("segment_size")]
    assert sizes == [64 * 2**20]
