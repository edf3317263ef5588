"""The package builds plainly with colcon (the test environment itself is a --symlink-install build)."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
PARTS = (
    "CMakeLists.txt", "package.xml", "setup.cfg", "setup.py", "msg", "srv", "launch", "config", "examples", "scripts",
    "trdimp_ros",
)  # fmt: skip


def test_a_plain_build_installs_everything(tmp_path):
    colcon = shutil.which("colcon")
    assert colcon is not None, "colcon belongs to the environment"
    source = tmp_path / "src" / "trdimp_ros"
    source.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, source / part)
    environment = os.environ | {"COLCON_LOG_PATH": str(tmp_path / "log")}
    command = [colcon, "build", "--cmake-args", "-DBUILD_TESTING=OFF"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    installed = tmp_path / "install" / "trdimp_ros"
    for name in ("tracker", "follow", "select", "camera"):
        executable = installed / "lib" / "trdimp_ros" / f"{name}_node"
        assert os.access(executable, os.X_OK)
        assert not executable.is_symlink()
    for example in ("turn_to_target.py", "detect_and_track.py"):
        assert os.access(installed / "lib" / "trdimp_ros" / example, os.X_OK)
    share = installed / "share" / "trdimp_ros"
    for file in ("launch/tracker.launch.py", "launch/demo.launch.py", "config/tracker.yaml", "msg/TrackState.msg"):
        assert (share / file).is_file()
    (package,) = (installed / "lib").glob("python3*/site-packages/trdimp_ros")
    assert (package / "tracking" / "tracker.py").is_file()
    assert (package / "msg" / "__init__.py").is_file()
    assert "extend_path" in (package / "__init__.py").read_text(), "not the empty file of the message generator"


@pytest.mark.parametrize("name", ["tracker", "follow", "select", "camera"])
def test_the_build_under_test_has_executables(name):
    from ament_index_python.packages import get_package_prefix  # noqa: PLC0415

    executable = Path(get_package_prefix("trdimp_ros"), "lib", "trdimp_ros", f"{name}_node")
    assert os.access(executable, os.X_OK)


def test_every_ros_package_that_is_imported_is_a_dependency():
    """rosdep installs what package.xml names; here everything is installed anyway, so that nothing would be missed."""
    named = {element.text for element in ElementTree.parse(ROOT / "package.xml").getroot()}
    from_pip = {"numpy", "cv2", "torch", "tqdm", "safetensors", "trdimp_ros"}
    for file in (path for folder in ("trdimp_ros/ros", "launch", "examples") for path in (ROOT / folder).glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for package in {module.partition(".")[0] for module in modules} - from_pip - sys.stdlib_module_names:
                assert package in named, f"{file.name} imports {package}, which package.xml does not name"
