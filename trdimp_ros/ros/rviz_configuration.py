"""The configuration that rviz2 is started with. Light to import: the launch file uses it."""

from __future__ import annotations

TEMPLATE_NODE = "/tracker"
"""The node that config/tracker.rviz is written for."""


def plane_frame(node_name: str) -> str:
    """The name of the frame that a tracker's image plane lies in.

    Args:
        node_name: The tracker's fully qualified name, such as ``/robot/tracker``. A frame's name has no leading slash.
    """
    return f"{node_name.lstrip('/')}_image_plane"


def rviz_configuration(template: str, node_name: str) -> str:
    """The contents of config/tracker.rviz, changed to show another tracker's image plane.

    Topics and frames stand in rviz's configuration in full; it follows no namespace and no remapping.

    Args:
        template: The contents of config/tracker.rviz.
        node_name: The tracker's fully qualified name.
    """
    in_plane = template.replace(plane_frame(TEMPLATE_NODE), plane_frame(node_name))
    return in_plane.replace(f"{TEMPLATE_NODE}/image_plane", f"{node_name}/image_plane")
