"""The launch files: with a model of `launch` everywhere, with the real `ros2 launch` where it can be imported."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from trdimp_ros.media.demo_scene import PATHS
from trdimp_ros.parameters import parameters_of
from trdimp_ros.ros.camera_node import CameraParameters
from trdimp_ros.ros.clip import TWO_TARGETS
from trdimp_ros.ros.rviz_configuration import plane_frame, rviz_configuration
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters
from trdimp_ros.testing.launch_model import Launched, run_launch_file
from trdimp_ros.testing.ros_harness import new_domain

ROOT = Path(__file__).parents[2]
WANTED = {
    "tracker.launch.py": {
        "image", "image_transport", "params_file", "namespace", "preset", "weights", "device", "autostart",
        "use_sim_time", "respawn", "rviz", "log_level",
    },
    "demo.launch.py": {
        "source", "init", "rate", "contact_sheet", "params_file", "preset", "weights", "device", "rviz",
    },
}  # fmt: skip
HAS_LAUNCH = importlib.util.find_spec("launch_ros") is not None


class Launcher:
    """Runs launch files; `refused` runs one that must stop before it has started anything."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str = "tracker.launch.py", **arguments: str) -> Launched:
        launched = Launched(self._folder, arguments)
        run_launch_file(ROOT / "launch" / name, ROOT, launched)
        return launched

    def refused(self, match: str, name: str = "tracker.launch.py", **arguments: str) -> None:
        launched = Launched(self._folder, arguments)
        with pytest.raises(RuntimeError, match=match):
            run_launch_file(ROOT / "launch" / name, ROOT, launched)
        assert launched.nodes == [], "a node beside an error is left running"


@pytest.fixture
def launch(tmp_path):
    return Launcher(tmp_path)


@pytest.fixture
def rviz_installed(tmp_path, monkeypatch):
    """A package of the name rviz2 in ament's index."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path}{os.pathsep}{os.environ['AMENT_PREFIX_PATH']}")


def parameters(node: dict) -> dict:
    """The parameters given to a node beside a file."""
    return {key: value for given in node["parameters"] if isinstance(given, dict) for key, value in given.items()}


@pytest.mark.parametrize("name", WANTED)
def test_launch_files_declare_their_arguments(launch, name):
    assert WANTED[name] <= set(launch(name).configurations)


def test_without_arguments_the_tracker_alone_is_started(launch):
    (node,) = launch().nodes
    assert (node["package"], node["executable"], node["respawn"]) == ("trdimp_ros", "tracker_node", False)
    assert parameters(node) == {}
    assert node["parameters"][0] == str(ROOT / "config" / "tracker.yaml")


def test_arguments_become_parameters_that_exist_with_values_that_they_may_have(launch):
    (node,) = launch(
        preset="trsiam", weights="w.safetensors", device="cpu", image_transport="compressed", autostart="False",
        use_sim_time="true",
    ).nodes  # fmt: skip
    given = parameters(node)
    assert given.pop("use_sim_time") is True, "a parameter of every node"
    known = parameters_of(TrackerNodeParameters)
    assert set(given) <= set(known)
    assert given["autostart"] is False
    assert given["image_transport"] == "compressed"


@pytest.mark.parametrize("name", ["autostart", "respawn", "rviz", "use_sim_time", "log_level", "image_transport"])
def test_values_that_mean_nothing_are_refused(launch, name):
    launch.refused('"yes" is not valid', **{name: "yes"})


@pytest.mark.parametrize("name", WANTED)
def test_a_missing_parameter_file_is_an_error(launch, name):
    launch.refused(
        "params_file:=/nowhere/tracker.yaml: there is no such file", name, params_file="/nowhere/tracker.yaml"
    )


def test_rviz_without_rviz2_is_refused_before_anything_starts(launch, monkeypatch, tmp_path):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    launch.refused("needs the package rviz2, which is not installed", rviz="true")


@pytest.mark.parametrize(
    ("pushed", "namespace", "full_name"),
    [("", "", "/tracker"), ("", "robot", "/robot/tracker"), ("/fleet", "robot", "/fleet/robot/tracker")],
)
def test_rviz_is_started_with_the_plane_of_this_tracker(launch, rviz_installed, pushed, namespace, full_name):
    tracker, rviz = launch(rviz="true", namespace=namespace, ros_namespace=pushed).nodes
    assert tracker["namespace"] == namespace
    option, path = rviz["arguments"]
    manager = yaml.safe_load(Path(path).read_text())["Visualization Manager"]
    assert option == "-d"
    assert manager["Displays"][0]["Topic"]["Value"] == f"{full_name}/image_plane"
    assert manager["Global Options"]["Fixed Frame"] == plane_frame(full_name)
    assert manager["Views"]["Current"]["Target Frame"] == plane_frame(full_name)


def test_the_log_level_is_the_nodes_alone(launch):
    (node,) = launch(log_level="debug", namespace="robot").nodes
    assert node["ros_arguments"] == ["--log-level", "robot.tracker:=debug"]


def test_the_demo_starts_a_video_at_a_box(launch):
    tracker, follow, camera = launch("demo.launch.py", source="clip.mp4", init="10, 20,30,40.5").nodes
    assert [node["executable"] for node in (tracker, camera, follow)] == ["tracker_node", "camera_node", "follow_node"]
    assert parameters(camera) == {
        "source": "clip.mp4",
        "rate": 10.0,
        "contact_sheet": "",
        "init": [10.0, 20.0, 30.0, 40.5],
    }
    assert set(parameters(camera)) <= set(parameters_of(CameraParameters))


def test_the_demo_shows_two_targets_with_room_for_both(launch):
    tracker, _, camera = launch("demo.launch.py").nodes
    assert parameters(camera)["source"] == TWO_TARGETS
    file = Path(tracker["parameters"][0])
    given = flat(yaml.safe_load(file.read_text())["/**"]["ros__parameters"])
    known = parameters_of(TrackerNodeParameters)
    assert all(known[name].kind.from_plain(name, value) == value for name, value in given.items())
    assert given["max_targets"] == len(PATHS)
    assert given["tracker.reacquire_budget"] > 0


def flat(values: dict, prefix: str = "") -> dict:
    """Parameters by their names in ROS, with the names of their sections before them."""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


@pytest.mark.parametrize(("init", "message"), [("1,2,3", "four numbers"), ("a,b,c,d", "init must be a number")])
def test_a_demo_with_a_box_that_is_none_is_refused(launch, init, message):
    launch.refused(message, "demo.launch.py", init=init)


def test_configuration_files_are_well_formed():
    text = (ROOT / "config" / "tracker.rviz").read_text()
    rviz = yaml.safe_load(text)
    assert rviz_configuration(text, "/tracker") == text
    manager = rviz["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == plane_frame("/tracker")
    assert any(tool["Class"].endswith("PublishPoint") for tool in manager["Tools"])
    profile = ElementTree.parse(ROOT / "config" / "fastdds_large_images.xml").getroot()
    sizes = [int(element.text) for element in profile.iter() if element.tag.endswith("segment_size")]
    assert sizes == [64 * 2**20]


@pytest.mark.skipif(not HAS_LAUNCH, reason="launch_ros cannot be installed by pip; runs where ROS is installed")
class TestWithTheRealLaunch:
    @pytest.fixture
    def start(self, tmp_path):
        processes = []

        def start(*arguments: str) -> tuple[subprocess.Popen, Path]:
            processes.append(self.launch(tmp_path, arguments))
            return processes[-1], tmp_path / "launch.log"

        yield start
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # which it passes on to its nodes
                process.wait(30)

    @staticmethod
    def launch(tmp_path: Path, arguments: tuple[str, ...]) -> subprocess.Popen:
        environment = os.environ | {"ROS_DOMAIN_ID": str(new_domain()), "ROS_LOG_DIR": str(tmp_path / "ros_log")}
        # A background job of a shell ignores SIGINT, and its children would.
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
            "from ros2cli.cli import main; sys.exit(main())"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, "launch", "trdimp_ros", *arguments],
            stdout=(tmp_path / "launch.log").open("w"),
            stderr=subprocess.STDOUT,
            env=environment,
        )

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("autostart:=yes", '"yes" is not valid'),
            ("params_file:=/nowhere.yaml", "there is no such file"),
            ("rviz:=true", "needs the package rviz2"),
        ],
    )
    def test_refusals_start_nothing(self, start, argument, message):
        if argument.startswith("rviz") and any(
            Path(prefix, "share", "rviz2").exists() for prefix in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
        ):
            pytest.skip("rviz2 is installed")
        process, log = start("tracker.launch.py", argument)
        assert process.wait(60) == 1
        assert message in log.read_text()
        assert "process started" not in log.read_text()

    def test_the_demo_plays_a_clip_from_a_box(self, start, tmp_path):
        arguments = ["init:=20,33,20,17", "rate:=0", f"contact_sheet:={tmp_path / 'sheet.png'}"]
        process, log = start("demo.launch.py", f"source:={short_clip(tmp_path)}", *arguments)
        assert process.wait(120) == 0
        assert "frames=10" in log.read_text()
        assert "camera_node-3]: process has finished cleanly" in log.read_text()

    def test_ctrl_c_ends_all_nodes(self, start):
        process, log = start("tracker.launch.py", "namespace:=robot", "log_level:=debug")
        end = time.monotonic() + 60
        while "active: images from /robot/image" not in log.read_text():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert "process has finished cleanly" in log.read_text()
        assert "[rcl" not in log.read_text()


def short_clip(folder: Path) -> Path:
    from trdimp_ros.media.drawing import VideoWriter  # noqa: PLC0415
    from trdimp_ros.media.scene import RenderedScene  # noqa: PLC0415

    scene = RenderedScene(160, 120)
    with VideoWriter(folder / "clip.mp4", 25) as video:
        for index in range(10):
            video.write(scene.frame(index))
    return folder / "clip.mp4"
