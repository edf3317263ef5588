"""Video files, folders, drawing and the rendered scene."""

from __future__ import annotations

import signal
import threading
import time

import cv2
import numpy as np
import pytest

from trdimp_ros.media.drawing import VideoWriter, contact_sheet, draw_result, write_image
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.sources import ImageFolder, VideoFile, open_source, read_image
from trdimp_ros.tracking import Box, State, TrackResult


def frames(count: int = 5) -> list[np.ndarray]:
    scene = RenderedScene(128, 96)
    return [scene.frame(index) for index in range(count)]


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_written_video_reads_back(tmp_path, suffix):
    path = tmp_path / f"clip{suffix}"
    with VideoWriter(path, 25.0) as writer:
        for frame in frames():
            writer.write(frame)
    source = open_source(path)
    read = list(source)
    assert isinstance(source, VideoFile)
    assert len(source) == len(read) == 5
    assert source.rate == pytest.approx(25.0)
    assert read[0].shape == (96, 128, 3)
    assert np.abs(read[0].astype(int) - frames()[0]).mean() < 12


@pytest.fixture
def interrupt_in_a_thread():
    """Sends SIGTERM to another thread; Python then raises KeyboardInterrupt in the main one, whatever that blocks."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before, done = signal.signal(signal.SIGTERM, interrupt), threading.Event()
    other = threading.Thread(target=done.wait, daemon=True)
    other.start()

    def send() -> None:
        assert other.ident is not None
        signal.pthread_kill(other.ident, signal.SIGTERM)
        for _ in range(200):  # until it arrives: the main thread hears of it between two calls only
            time.sleep(0.05)
        raise AssertionError("no interrupt came within ten seconds")

    yield send
    done.set()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("caught_inside", [True, False])
def test_an_interrupt_while_the_video_is_opened_leaves_its_first_frame(
    tmp_path, monkeypatch, interrupt_in_a_thread, caught_inside
):
    opened, real = [], cv2.VideoWriter

    def open_and_interrupt(*arguments: object) -> cv2.VideoWriter:
        opened.append(real(*arguments))
        if len(opened) == 1:
            interrupt_in_a_thread()
        return opened[-1]

    open_and_interrupt.fourcc = real.fourcc  # type: ignore[attr-defined]
    monkeypatch.setattr(cv2, "VideoWriter", open_and_interrupt)
    path = tmp_path / "clip.mp4"
    if caught_inside:
        with VideoWriter(path, 25.0) as writer, pytest.raises(KeyboardInterrupt):
            writer.write(frames()[0])
    else:
        with pytest.raises(KeyboardInterrupt), VideoWriter(path, 25.0) as writer:
            writer.write(frames()[0])
    assert len(list(open_source(path))) == 1


def test_an_interrupt_before_the_first_frame_leaves_no_video(tmp_path):
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "clip.mp4", 25.0):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    folder = tmp_path / "img"
    folder.mkdir()
    images = frames(3)
    for name, image in zip(("10", "9", "2"), images, strict=True):
        write_image(folder / f"{name}.png", image)
    (folder / "notes.txt").write_text("no image")
    source = open_source(tmp_path)
    assert isinstance(source, ImageFolder)
    assert len(source) == 3
    assert np.array_equal(list(source), images[::-1])


def test_unusable_sources_say_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="no such video"):
        open_source(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="no images in"):
        open_source(tmp_path)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(ValueError, match="cannot read the video"):
        open_source(tmp_path / "bad.mp4")
    (tmp_path / "bad.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match="cannot read the image"):
        read_image(tmp_path / "bad.png")
    with pytest.raises(ValueError, match=r"\.mp4 or \.avi"):
        VideoWriter(tmp_path / "clip.xyz", 25)
    with pytest.raises(ValueError, match="there is no folder"):
        VideoWriter(tmp_path / "no" / "folder.mp4", 25)
    with pytest.raises(ValueError, match="cannot write"):
        write_image(tmp_path / "no" / "folder.png", frames(1)[0])


@pytest.mark.parametrize("state", list(State))
def test_drawing_leaves_the_frame_alone(state):
    frame = frames(1)[0]
    before = frame.copy()
    result = TrackResult(Box(10, 10, 30, 20), 0.7, state, Box(-20, 0, 200, 90))
    drawn = draw_result(frame, result, truth=Box(12, 11, 30, 20))
    assert np.array_equal(frame, before)
    assert (drawn != frame).any()
    draw_result(frame, TrackResult(Box(float("nan"), 0, 1e30, 1), 0.1, state, Box(0, 0, 1, 1)))


def test_a_contact_sheet_has_all_tiles():
    sheet = contact_sheet(frames(7), columns=3, width=64)
    assert sheet.shape == (3 * 48, 3 * 64, 3)
    assert not sheet[-48:, -64:].any()
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


class TestRenderedScene:
    def test_it_is_reproducible_and_each_frame_stands_alone(self):
        one, other = RenderedScene(160, 120), RenderedScene(160, 120)
        assert np.array_equal(one.frame(57), other.frame(57))
        assert not np.array_equal(one.frame(0), RenderedScene(160, 120, seed=1).frame(0))

    def test_the_target_hides_leaves_and_returns(self):
        scene = RenderedScene()
        seen = np.array([scene.visibility(index) for index in range(len(scene))])
        assert len(scene) == 200
        assert seen[0] == seen[-1] == 1.0
        outside = [index for index in range(len(scene)) if scene.box(index).x > scene.width]
        assert outside
        assert (seen[outside] == 0).all()
        hidden = [index for index in range(50, 100) if seen[index] == 0.0]
        assert hidden, "the pillar must hide the whole target"

    def test_the_truth_is_where_the_pixels_are(self):
        """Against the same scene without target, the difference must fill the box and nothing else."""
        scene = RenderedScene()
        empty = RenderedScene()
        empty._target = empty._target[:1, :1]
        for index in (0, 20, 150):
            difference = np.abs(scene.frame(index).astype(int) - empty.frame(index)).max(axis=2) > 12
            rows, columns = np.nonzero(difference)
            box = scene.box(index)
            found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            wanted = (box.x, box.y, min(box.x + box.w, scene.width), box.y + box.h)
            assert np.abs(np.array(found) - wanted).max() <= 1.5

    def test_it_refuses_a_tiny_image(self):
        with pytest.raises(ValueError, match="64 to 8192 pixels"):
            RenderedScene(10, 10)
