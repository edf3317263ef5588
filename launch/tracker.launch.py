"""The tracker, and rviz on request: `ros2 launch trdimp_ros tracker.launch.py image:=/camera/image_raw`."""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.logging import launch_config
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from launch import LaunchDescription
from trdimp_ros.ros.rviz_configuration import plane_frame, rviz_configuration

CONFIG = PathJoinSubstitution([FindPackageShare("trdimp_ros"), "config"])
BOOLEANS = {"true": True, "True": True, "false": False, "False": False}

ARGUMENTS = {
    "image": ("image", "Image topic; with image_transport compressed: without /compressed."),
    "image_transport": ("", "raw or compressed; empty: as in params_file."),
    "params_file": (PathJoinSubstitution([CONFIG, "tracker.yaml"]), "YAML file with parameters."),
    "namespace": ("", "Namespace of the node."),
    "preset": ("", "compact, trdimp, trsiam, trdimp_vot, trdimp_lasot or trsiam_lasot; empty: as in params_file."),
    "weights": ("", "Weights file; empty: as in params_file."),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as in params_file."),
    "autostart": ("", "true: walk to active without a lifecycle manager; false; empty: as in params_file."),
    "use_sim_time": ("", "true: take the time from /clock, as in a simulation; false; empty: as in params_file."),
    "respawn": ("false", "Start the node again when it dies."),
    "rviz": ("false", "Start rviz2 with the image plane, in which a box can be clicked."),
    "log_level": ("info", "debug, info, warn, error or fatal: of the node, not of the libraries under it."),
}
CHOICES = {
    "image_transport": ["", "raw", "compressed"],
    "autostart": ["", *BOOLEANS],
    "use_sim_time": ["", *BOOLEANS],
    "respawn": list(BOOLEANS),
    "rviz": list(BOOLEANS),
    "log_level": ["debug", "info", "warn", "error", "fatal"],
}
PARAMETER_OF_ARGUMENT = {
    "preset": "preset",
    "weights": "model.weights",
    "device": "model.device",
    "image_transport": "image_transport",
    "autostart": "autostart",
    "use_sim_time": "use_sim_time",
}


def start(context):
    """The nodes. Everything is checked first, so that nothing is left running beside an error."""
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not Path(value["params_file"]).is_file():
        raise RuntimeError(f"params_file:={value['params_file']}: there is no such file")
    with_rviz = BOOLEANS[value["rviz"]]
    if with_rviz:
        require_rviz()
    overrides = {
        parameter: BOOLEANS.get(value[name], value[name])
        for name, parameter in PARAMETER_OF_ARGUMENT.items()
        if value[name]
    }
    # As launch_ros does for the node, also inside a group that pushes a namespace.
    pushed = context.launch_configurations.get("ros_namespace", "")
    namespace = make_namespace_absolute(prefix_namespace(pushed, value["namespace"]) or "/")
    node_name = f"{namespace.rstrip('/')}/tracker"
    image = value["image"]
    nodes = [
        Node(
            package="trdimp_ros",
            executable="tracker_node",
            name="tracker",
            namespace=value["namespace"],
            output="screen",
            respawn=BOOLEANS[value["respawn"]],
            parameters=[value["params_file"], overrides],
            remappings=[
                ("image", image),
                ("image/compressed", f"{image}/compressed"),
                ("image_mouse_left", f"{image}_mouse_left"),
            ],
            # A level for all loggers would bring the lines of rcl and the middleware.
            ros_arguments=["--log-level", f"{node_name.lstrip('/').replace('/', '.')}:={value['log_level']}"],
        )
    ]
    if with_rviz:
        use_sim_time = overrides.get("use_sim_time", False)
        nodes.append(
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", write_rviz_configuration(node_name)],
                parameters=[{"use_sim_time": use_sim_time}],
            )
        )
    return nodes


def require_rviz():
    """Stop the launch where rviz2 is not installed."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError(
            "rviz:=true needs the package rviz2, which is not installed (apt install ros-$ROS_DISTRO-rviz2)"
        ) from error


def write_rviz_configuration(node_name):
    """Write the configuration for this node's image plane into the launch's log folder; returns the path."""
    template = Path(get_package_share_directory("trdimp_ros"), "config", "tracker.rviz").read_text()
    path = Path(launch_config.get_log_file_path(f"{plane_frame(node_name).replace('/', '_')}.rviz"))
    path.write_text(rviz_configuration(template, node_name))
    return str(path)


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=CHOICES.get(name))
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
    return LaunchDescription([*arguments, large_images, OpaqueFunction(function=start)])
