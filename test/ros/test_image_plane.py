"""The markers for rviz, drawn by a model of what rviz does with them."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PointStamped
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker

from trdimp_ros.msg import TrackState
from trdimp_ros.ros.image_plane import ImagePlane, pixel_of_point, point_of_pixel
from trdimp_ros.ros.messages import box_of_message
from trdimp_ros.ros.rviz_configuration import plane_frame
from trdimp_ros.testing.ros_harness import TINY_PARAMETERS, System
from trdimp_ros.testing.rviz_model import RvizModel
from trdimp_ros.testing.tiny import small_scene
from trdimp_ros.tracking import Box, State, TrackResult

FRAMES, BOXES = small_scene()
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)


def result(box: Box, state: State = State.NORMAL) -> TrackResult:
    return TrackResult(box, 0.9, state, box)


def shown(plane: ImagePlane, *updates) -> RvizModel:
    rviz = RvizModel()
    for image, targets in updates:
        for marker in plane.markers(image, targets, Time()):
            rviz.handle(marker)
    return rviz


def test_the_plane_shows_the_image_as_it_is():
    picture = shown(ImagePlane("/tracker"), (IMAGE, [])).render(64, 48)
    assert np.array_equal(picture, IMAGE), "mirrored, a click would select the mirrored place"


def test_the_picture_follows_the_images_and_stays_bright():
    images = [np.roll(IMAGE, shift, axis=1) for shift in range(5)]
    rviz = shown(ImagePlane("/tracker"), *((image, []) for image in images))
    assert np.array_equal(rviz.render(64, 48), images[-1])


def test_what_is_clicked_in_the_picture_is_what_the_tracker_is_told():
    image = np.zeros((48, 64, 3), np.uint8)
    image[30, 10] = 255
    picture = shown(ImagePlane("/tracker"), (image, [])).render(64, 48)
    (row, column, _), *_ = np.argwhere(picture)
    x, y = pixel_of_point((column + 0.5) / 1000, -(row + 0.5) / 1000)
    assert (int(x), int(y)) == (10, 30)


def test_boxes_and_ids_of_all_targets_lie_visibly_above_the_image():
    dark = np.zeros((120, 160, 3), np.uint8)
    targets = [("cup", result(Box(10, 20, 30, 40))), ("ball", result(Box(80, 50, 50, 30), State.NOT_FOUND))]
    rviz = shown(ImagePlane("/tracker"), (dark, targets))
    picture = rviz.render(160, 120)
    assert tuple(picture[20, 25]) == (60, 220, 60), "the found one's upper edge is green"
    assert tuple(picture[65, 80]) == (255, 60, 60), "the lost one's left edge is red"
    assert not picture[40, 25].any(), "a box is not filled"
    assert {marker.text for marker in rviz.markers.values()} == {"", "cup", "ball"}


def test_boxes_of_targets_that_are_gone_go():
    two = [("cup", result(Box(10, 20, 20, 20))), ("ball", result(Box(40, 20, 10, 10)))]
    plane = ImagePlane("/tracker")
    rviz = shown(plane, (IMAGE, two), (IMAGE, two[1:]))
    assert [marker.text for marker in rviz.markers.values() if marker.text] == ["ball"]
    for marker in plane.markers(IMAGE, [], Time()):
        rviz.handle(marker)
    assert np.array_equal(rviz.render(64, 48), IMAGE)


@pytest.mark.parametrize("shape", [(1, 2000, 3), (2000, 1, 3), (1, 1, 3)])
def test_an_image_of_any_shape_has_a_texture(shape):
    (key,) = shown(ImagePlane("/tracker"), (np.full(shape, 7, np.uint8), [])).markers
    assert key == ("image", 0)


def test_every_node_has_a_frame_of_its_own():
    assert plane_frame("/tracker") == "tracker_image_plane"
    assert plane_frame("/robot_1/tracker") == "robot_1/tracker_image_plane"


def test_the_nodes_markers_over_dds_draw_its_images_in_rviz(system: System):
    system.start_tracker()
    client, rviz, markers = system.client, RvizModel(), []
    client.create_subscription(Marker, "tracker/image_plane", markers.append, 100)
    client.spin_for(0.5)
    client.begin(FRAMES[0], BOXES[0])
    for frame in FRAMES[1:4]:
        client.spin_for(0.25)  # the plane comes at most five times a second
        before = len(markers)
        client.track(frame)
        client.spin_until(
            lambda before=before: any(marker.ns == "box" and marker.points for marker in markers[before:])
        )
        client.spin_for(0.1)
    for marker in markers:
        rviz.handle(marker)
    assert {marker.header.frame_id for marker in markers} == {"tracker_image_plane"}
    picture = rviz.render(160, 120)
    untouched = (picture == FRAMES[3]).all(axis=-1)
    assert untouched.mean() > 0.9, "all but the box's lines is the newest image"
    box = box_of_message(client.states[-1].bbox)
    assert not untouched[round(box.y), round(box.x + box.w / 2)], "the upper edge of the box is drawn"


def test_a_click_starts_only_the_tracker_whose_plane_was_clicked(system: System):
    """Two trackers in two namespaces share /clicked_point."""
    system.start_tracker()
    client, second = system.client, []
    system.start("tracker", TINY_PARAMETERS | {"model.weights": system._weights}, {"__ns": "/second"})
    client.create_subscription(TrackState, "second/tracker/state", second.append, 10)
    images = client.create_publisher(Image, "second/image", 1)
    clicks = client.create_publisher(PointStamped, "/clicked_point", 10)
    client.spin_until(lambda: clicks.get_subscription_count() == 2 and images.get_subscription_count())
    client.spin_until(lambda: client.count_publishers("second/tracker/state"))
    client.spin_for(0.5)
    message = client.send_image(FRAMES[0])
    images.publish(message)
    client.spin_until(lambda: client.states and second)

    x, y, w, h = BOXES[0]
    for point in (point_of_pixel(x, y), point_of_pixel(x + w, y + h)):
        click = PointStamped(point=point)
        click.header.frame_id = "second/tracker_image_plane"
        clicks.publish(click)
    client.spin_until(lambda: second[-1].state == TrackState.NORMAL)
    assert np.allclose(box_of_message(second[-1].bbox), BOXES[0], atol=1e-6)
    client.spin_for(0.5)
    assert client.track(FRAMES[1]).state == TrackState.IDLE
