"""Camera (a video, an image folder or a rendered scene), tracker and follower; ends with a summary for each target."""

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("trdimp_ros")

ARGUMENTS = {
    "source": (
        "two_targets",
        "two_targets (rendered; one leaves and comes back elsewhere), scene (rendered; one target), a video file, or a "
        "folder of images.",
    ),
    "init": ("", "Box x,y,w,h in the first image, pixels; empty: the first true box, where the source has one."),
    "rate": ("10.0", "Images per second; 0: the source's own rate."),
    "contact_sheet": ("", "PNG file to write the results into."),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "demo.yaml"]),
        "YAML file with parameters of the tracker.",
    ),
    "preset": ("", "compact, trdimp, ...; empty: as in params_file."),
    "weights": ("", "Weights file; empty: the bundled network for compact, untrained weights for the others."),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: auto."),
    "rviz": ("false", "Start rviz2 with the image plane."),
}
TRACKER_ARGUMENTS = ("params_file", "preset", "weights", "device", "rviz")


def number(name, text):
    try:
        return float(text)
    except ValueError:
        raise RuntimeError(f"{name} must be a number, got {text!r}") from None


def start(context):
    """Tracker, camera and follower; when the camera ends, so do the others."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters = {
        "source": value["source"],
        "rate": number("rate", value["rate"]),
        "contact_sheet": value["contact_sheet"],
    }
    if value["init"]:
        box = [number("init", part) for part in value["init"].strip("[] ").split(",")]
        if len(box) != 4:
            raise RuntimeError(f"init:={value['init']}: wanted are four numbers, x,y,w,h")
        parameters["init"] = box
    camera = Node(
        package="trdimp_ros", executable="camera_node", name="camera", output="screen", parameters=[parameters]
    )
    return [
        # It may refuse its arguments, which must leave nothing running: it comes first.
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "tracker.launch.py"])),
            launch_arguments={name: value[name] for name in TRACKER_ARGUMENTS}.items(),
        ),
        Node(package="trdimp_ros", executable="follow_node", name="follow", output="screen"),
        camera,
        RegisterEventHandler(OnProcessExit(target_action=camera, on_exit=[EmitEvent(event=Shutdown())])),
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])
