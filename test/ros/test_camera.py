"""The camera node: rounds without end in bounded memory, and sources that cannot be shown."""

from __future__ import annotations

import numpy as np
import pytest
import rclpy
from sensor_msgs.msg import Image

from trdimp_ros.media.drawing import write_image
from trdimp_ros.msg import TrackState
from trdimp_ros.ros.camera_node import CameraNode
from trdimp_ros.ros.clip import SHEET_TILES, SheetTiles, Summary
from trdimp_ros.ros.messages import box_message
from trdimp_ros.testing.ros_harness import System, new_domain
from trdimp_ros.tracking import Box, State, TrackResult

PICTURE = np.zeros((64, 64, 3), np.uint8)
BOX = Box(1, 2, 3, 4)
SEEN = TrackResult(BOX, 0.9, State.NORMAL, BOX)
LOST = TrackResult(BOX, 0.1, State.NOT_FOUND, BOX)


def test_lockstep_waits_for_every_result_in_every_round(system: System, tmp_path):
    for index in range(3):
        write_image(tmp_path / f"{index}.png", PICTURE)
    client, images = system.client, []
    client.create_subscription(Image, "image", images.append, 10)
    states = client.create_publisher(TrackState, "tracker/state", 10)
    system.start(
        "camera",
        {"source": tmp_path, "loop": True, "lockstep": True, "reliable": True, "initialize": False, "rate": 100.0},
    )
    client.spin_until(lambda: states.get_subscription_count() > 1)  # the client listens too
    for number in range(1, 9):
        client.spin_until(lambda number=number: len(images) >= number)
        client.spin_for(0.3)
        assert len(images) == number, "the next image came before this one's result"
        states.publish(TrackState(header=images[-1].header, state=TrackState.NORMAL, bbox=box_message(BOX)))


def test_what_it_keeps_is_bounded(tmp_path):
    rclpy.init(
        args=["--ros-args", "-p", "width:=64", "-p", "height:=64", "-p", "contact_sheet:=sheet.png"],
        domain_id=new_domain(),
    )
    try:
        camera = CameraNode()
        for index in range(2000):
            camera._publish(index, PICTURE)
        kept = [value for value in vars(camera).values() if isinstance(value, (dict, list))]
        assert max(len(one) for one in kept) <= 1000
        camera.destroy_node()
    finally:
        rclpy.shutdown()


def test_the_summary_counts_each_image_once():
    summary = Summary()
    for index in (0, 0, 1, 2, 4):
        summary.add(index, SEEN, BOX if index < 2 else None, 0.01 * index)
    assert summary.text(shown=5) == "frames=5 mean_iou=1.000 drops=1 latency_p50_ms=20.0 latency_p99_ms=39.6"
    assert Summary().text(shown=0) == "frames=0 mean_iou=unknown drops=0 latency_p50_ms=0.0 latency_p99_ms=0.0"


def test_the_summary_says_after_how_many_returns_the_target_was_found_again():
    summary = Summary()
    elsewhere = Box(50, 50, 3, 4)
    said = [(SEEN, BOX), (LOST, None), (SEEN, BOX), (LOST, None), (LOST, BOX), (SEEN, elsewhere), (SEEN, BOX)]
    said += [(LOST, None), (LOST, BOX), (SEEN, elsewhere), (LOST, None)]
    for index, (result, truth) in enumerate(said):
        summary.add(index, result, truth, 0.01)
    assert summary.text(shown=11).endswith(" found_again=2/3")


@pytest.mark.parametrize("announced", [0, 100, 10_000])
def test_the_sheet_has_a_bounded_number_of_tiles_however_long_the_clip(announced, tmp_path):
    tiles = SheetTiles(announced)
    for index in range(3000):
        tiles.shown(index, PICTURE)
        assert len(tiles._images) <= 2 * SHEET_TILES
        assert set(tiles._results) <= set(tiles._images)
        if index % 3:
            tiles.found(index, "", SEEN, None)
    tiles.write(tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").is_file()


@pytest.mark.parametrize("source", ["missing", "empty_folder", "no_video", "no_picture", "bad_truth"])
def test_a_source_that_cannot_be_shown_is_one_line(system: System, tmp_path, source):
    path = tmp_path / source
    if source == "no_video":
        path.write_bytes(b"\0" * 100)
    elif source != "missing":
        path.mkdir()
    if source == "no_picture":
        (path / "1.png").write_bytes(b"nothing")
    if source == "bad_truth":
        write_image(path / "1.png", PICTURE)
        (path / "groundtruth_rect.txt").write_bytes(b"\xff\xfe,1,2")
    camera = system.start("camera", {"source": path})
    assert camera.process.wait(60) == 2
    (line,) = camera.output.strip().splitlines()
    assert line.startswith("cannot start: ")
    assert str(path) in line
