"""The tracker, and rviz on request: `ros2 launch trdimp_ros tracker.launch.py image:=/camera/image_raw`."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

CONFIG = PathJoinSubstitution([FindPackageShare("trdimp_ros"), "config"])

ARGUMENTS = {
    "image": ("image", "Image topic; with image_transport compressed: without /compressed."),
    "camera_info": ("camera_info", "Topic of the camera's calibration; for nodes that need it, the tracker does not."),
    "params_file": (PathJoinSubstitution([CONFIG, "tracker.yaml"]), "YAML file with parameters."),
    "namespace": ("", "Namespace of the node."),
    "preset": ("", "compact, trdimp, trsiam, trdimp_vot, trdimp_lasot or trsiam_lasot; empty: as in params_file."),
    "weights": ("", "Weights file; empty: as in params_file."),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as in params_file."),
    "autostart": ("", "true: walk to active without a lifecycle manager; false; empty: as in params_file."),
    "respawn": ("false", "Start the node again when it dies."),
    "rviz": ("false", "Start rviz2 with the image plane, in which a box can be clicked."),
    "log_level": ("info", "debug, info, warn or error."),
}
PARAMETER_OF_ARGUMENT = {"preset": "preset", "weights": "model.weights", "device": "model.device"}


def tracker_node(context):
    """The node, with those parameters set whose argument is not empty."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides = {parameter: value[name] for name, parameter in PARAMETER_OF_ARGUMENT.items() if value[name]}
    if value["autostart"]:
        overrides["autostart"] = value["autostart"].lower() == "true"
    image = value["image"]
    return [
        Node(
            package="trdimp_ros",
            executable="tracker_node",
            name="tracker",
            namespace=value["namespace"],
            output="screen",
            respawn=value["respawn"].lower() == "true",
            parameters=[value["params_file"], overrides],
            remappings=[
                ("image", image),
                ("image/compressed", f"{image}/compressed"),
                ("image_mouse_left", f"{image}_mouse_left"),
                ("camera_info", value["camera_info"]),
            ],
            arguments=["--ros-args", "--log-level", value["log_level"]],
        )
    ]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    # Large images do not fit Fast DDS's default shared memory; other middlewares ignore this.
    large_images = SetEnvironmentVariable(
        "FASTDDS_DEFAULT_PROFILES_FILE",
        EnvironmentVariable(
            "FASTDDS_DEFAULT_PROFILES_FILE",
            default_value=PathJoinSubstitution([CONFIG, "fastdds_large_images.xml"]),
        ),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", PathJoinSubstitution([CONFIG, "tracker.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, large_images, OpaqueFunction(function=tracker_node), rviz])
