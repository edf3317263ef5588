"""Camera (a video, an image folder or the rendered scene), tracker and follower; ends with a summary."""

from launch.actions import DeclareLaunchArgument, EmitEvent, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

SHARE = FindPackageShare("trdimp_ros")

ARGUMENTS = {
    "source": ("scene", "scene, a video file, or a folder of images."),
    "rate": ("10.0", "Images per second; 0: the source's own rate."),
    "contact_sheet": ("", "PNG file to write the results into."),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "tracker.yaml"]),
        "YAML file with parameters of the tracker.",
    ),
    "preset": ("", "compact, trdimp, ...; empty: as in params_file."),
    "weights": ("", "Weights file; empty: the bundled network for compact, untrained weights for the others."),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: auto."),
}


def generate_launch_description():
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    camera = Node(
        package="trdimp_ros",
        executable="camera_node",
        name="camera",
        output="screen",
        parameters=[
            {
                "source": ParameterValue(value["source"], value_type=str),
                "rate": ParameterValue(value["rate"], value_type=float),
                "contact_sheet": ParameterValue(value["contact_sheet"], value_type=str),
            }
        ],
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in ARGUMENTS.items()
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(PathJoinSubstitution([SHARE, "launch", "tracker.launch.py"])),
                launch_arguments={name: value[name] for name in ("params_file", "preset", "weights", "device")}.items(),
            ),
            Node(package="trdimp_ros", executable="follow_node", name="follow", output="screen"),
            camera,
            RegisterEventHandler(OnProcessExit(target_action=camera, on_exit=[EmitEvent(event=Shutdown())])),
        ]
    )
