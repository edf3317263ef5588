"""Draw docs/images/clicks.jpg: the image plane's markers, rendered by the model of rviz, with two clicks drawn into it.

Run it in the ROS environment (scripts/ros_environment.sh). The markers are those that the node publishes for an
image of the rendered scene in which a target is tracked.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from builtin_interfaces.msg import Time

from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.ros.image_plane import ImagePlane
from trdimp_ros.testing.rviz_model import RvizModel
from trdimp_ros.tracking import State, TrackResult

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "clicks.jpg"
FRAME = 20
MARGIN = 0.04
"""Metres of background round the plane."""

BACKGROUND = (30, 30, 30)


def main() -> None:
    scene = RenderedScene()
    image, box = scene.frame(FRAME), scene.box(FRAME)
    result = TrackResult(box, 0.9, State.NORMAL, box)
    rviz = RvizModel(background=BACKGROUND)
    for marker in ImagePlane("/tracker").markers(image, [("target", result)], Time()):
        rviz.handle(marker)
    margin = round(MARGIN * 1000)
    picture = rviz.render(scene.width + 2 * margin, scene.height + 2 * margin, left=-MARGIN, top=MARGIN)
    corners = [(box.x, box.y), (box.x + box.w, box.y + box.h)]
    for number, (x, y) in enumerate(corners, start=1):
        draw_click(picture, (round(x) + margin, round(y) + margin), number)
    cv2.imwrite(str(PICTURE), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"wrote {PICTURE}")


def draw_click(picture: np.ndarray, at: tuple[int, int], number: int) -> None:
    """A numbered disc."""
    cv2.circle(picture, at, 11, (255, 255, 255), -1, cv2.LINE_AA)
    cv2.circle(picture, at, 11, (0, 0, 0), 1, cv2.LINE_AA)
    corner = at[0] - 6, at[1] + 6
    cv2.putText(picture, str(number), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 2, cv2.LINE_AA)


if __name__ == "__main__":
    main()
