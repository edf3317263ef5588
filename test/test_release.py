"""What ROS's release tools read: package.xml and the changelog, parsed by those tools' own library."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

from catkin_pkg.changelog import get_changelog_from_path
from catkin_pkg.package import parse_package

import trdimp_ros

ROOT = Path(__file__).parents[1]


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_package_xml_is_what_the_tools_expect():
    warnings: list[str] = []
    package = parse_package(str(ROOT / "package.xml"), warnings=warnings)
    package.validate(warnings=warnings)
    assert warnings == []
    assert package.version == trdimp_ros.__version__
    (maintainer,) = package.maintainers
    assert maintainer.name != "trdimp_ros maintainers"


def test_package_xml_names_every_ros_package_that_the_code_imports():
    package = parse_package(str(ROOT / "package.xml"))
    named = {one.name for one in [*package.exec_depends, *package.buildtool_depends, *package.test_depends]}
    files = [*(ROOT / "trdimp_ros" / "ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    files += [*(ROOT / "examples").glob("*.py"), *(ROOT / "test" / "ros").glob("*.py")]
    files += (ROOT / "trdimp_ros" / "testing").glob("*.py")
    imported = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    # ROS packages are those that a distribution's Python does not bring: neither its library nor what pip installs.
    others = {
        "trdimp_ros",
        "torch",
        "numpy",
        "cv2",
        "yaml",
        "safetensors",
        "pytest",
        "hypothesis",
        "catkin_pkg",
        "ros2cli",
    }
    missing = {name for name in imported - others - named if name not in sys.stdlib_module_names}
    assert missing == set()
    assert {"rviz2", "rcl_interfaces"} <= named


def test_the_changelog_can_be_read_and_is_current(tmp_path):
    text = script("write_changelog").to_rst((ROOT / "CHANGELOG.md").read_text())
    assert (ROOT / "CHANGELOG.rst").read_text() == text, "run `make changelog`"
    # As catkin_prepare_release does at a release; what is forthcoming is not read before.
    released = tmp_path / "CHANGELOG.rst"
    released.write_text(text.replace("Forthcoming\n-----------\n", "9.0.0 (2030-01-31)\n------------------\n"))
    versions = list(get_changelog_from_path(str(released), "trdimp_ros").foreach_version())
    assert versions
    assert all(content for _, _, content in versions)


def test_markdown_becomes_restructured_text():
    markdown = "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n### Added\n\n- `a` and [b](c.md),\n  on\n  - inner\n- last\n"
    assert script("write_changelog").to_rst(markdown).splitlines()[3:] == [
        "",
        "1.2.0 (2026-01-31)",
        "------------------",
        "",
        "**Added**",
        "",
        "* ``a`` and `b <c.md>`_,",
        "  on",
        "",
        "  * inner",
        "",
        "* last",
    ]
