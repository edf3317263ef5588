"""Outputs that appear when they are complete, and names that OpenCV cannot take."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from trdimp_ros.media.drawing import VideoWriter, write_image
from trdimp_ros.media.files import complete_file
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.sources import open_source, read_image


def png(width: int, height: int) -> bytes:
    """A PNG file that claims this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def test_a_file_is_put_in_place_at_the_end(tmp_path):
    place = tmp_path / "a.txt"
    place.write_text("old")
    with complete_file(place) as file:
        file.write_text("new")
        assert place.read_text() == "old"
        assert (file.parent, file.suffix) == (tmp_path, ".txt")
    assert place.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("error", "kept"), [(ValueError, "old"), (OSError, "old"), (KeyboardInterrupt, "new")])
def test_an_error_leaves_the_old_file_and_an_interrupt_what_was_written(tmp_path, error, kept):
    place = tmp_path / "a.txt"
    place.write_text("old")

    def write() -> None:
        with complete_file(place) as file:
            file.write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert place.read_text() == kept
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_interrupt_before_anything_was_written_leaves_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), complete_file(tmp_path / "a.txt"):
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with complete_file(tmp_path / "link") as file:
        file.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "x"
    with complete_file(Path(os.devnull)) as file:
        assert file == Path(os.devnull)
    with pytest.raises(ValueError, match="folder"), complete_file(tmp_path):
        pass


def test_the_longest_name_can_be_written(tmp_path):
    path = tmp_path / ("x" * 251 + ".txt")
    with complete_file(path) as file:
        file.write_text("x")
    assert path.read_text() == "x"


def test_a_video_without_a_frame_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="cannot write"), VideoWriter(tmp_path / "a.mp4", 25):
        pass
    assert not os.listdir(tmp_path)


NAMES = [b"caf\xe9", "日本".encode(), b"new\nline", b"%d"]


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name_works(tmp_path, name):
    """In a process of its own: OpenCV crashes on names that are not UTF-8."""
    script = f"""
import os, sys
import numpy as np
from pathlib import Path
from trdimp_ros.media.drawing import VideoWriter, write_image
from trdimp_ros.media.sources import open_source
folder = Path(os.fsdecode(os.fsencode(sys.argv[1]) + b"/" + {name!r}))
folder.mkdir()
frame = np.full((48, 64, 3), 99, np.uint8)
image = folder / os.fsdecode({name!r} + b".png")
write_image(image, frame)
assert np.array_equal(next(iter(open_source(folder))), frame)
for suffix in (b".mp4", b".avi"):
    video = folder / os.fsdecode({name!r} + suffix)
    with VideoWriter(video, 25) as writer:
        for _ in range(5):
            writer.write(frame)
    assert len(list(open_source(video))) == len(list(open_source(video))) == 5
assert len(os.listdir(folder)) == 3
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("side", [100_000, 20_000])
def test_an_image_is_measured_before_it_is_decoded(tmp_path, side):
    """In a process of its own, for the memory."""
    (tmp_path / "huge.png").write_bytes(png(side, side))
    script = f"""
import resource
from pathlib import Path
from trdimp_ros.media.sources import read_image
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_image(Path({str(tmp_path / "huge.png")!r}))
except ValueError as error:
    print(error)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cannot read the image" in done.stdout
    assert "134217728 pixels" in done.stdout


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="no such image file"):
        read_image(tmp_path / "pipe.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="cannot read the image"):
        read_image(tmp_path / "empty.png")


def test_an_image_reads_back(tmp_path):
    frame = RenderedScene(96, 64).frame(0)
    write_image(tmp_path / "a.png", frame)
    assert np.array_equal(read_image(tmp_path / "a.png"), frame)
    with pytest.raises(ValueError, match=r"cannot write .*a\.nothing"):
        write_image(tmp_path / "a.nothing", frame)
    assert len(open_source(tmp_path)) == 1


SIGNAL_IN_THE_MIDDLE = """
import signal, threading
from trdimp_ros.media.files import undisturbed

signal.signal(signal.SIGTERM, lambda number, frame: print("interrupted"))
with undisturbed():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    print("written")
"""


def test_signals_wait_until_a_file_is_written():
    """A signal in the middle of OpenCV's writing would look like a full disk."""
    words = [sys.executable, "-c", SIGNAL_IN_THE_MIDDLE]
    result = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=120)
    assert result.stdout.split() == ["written", "interrupted"]
