"""Every encoding, and that nothing but ValueError comes out of any message."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from trdimp_ros.ros.image_decoding import decode_compressed, decode_image, encode_image

RGB = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
SMOOTH = cv2.resize(RGB[:3, :4], (16, 12), interpolation=cv2.INTER_CUBIC)
GREY = RGB[:, :, 0]


def message(pixels: np.ndarray, encoding: str) -> Image:
    return encode_image(pixels.view(np.uint8) if pixels.dtype == np.uint16 else pixels, encoding, Header())


@pytest.mark.parametrize(
    ("pixels", "encoding", "expected"),
    [
        (RGB, "rgb8", RGB),
        (RGB[..., ::-1], "bgr8", RGB),
        (RGB[..., ::-1], "8UC3", RGB),
        (np.dstack([RGB, GREY]), "rgba8", RGB),
        (np.dstack([RGB[..., ::-1], GREY]), "bgra8", RGB),
        (GREY, "mono8", np.dstack([GREY] * 3)),
        (GREY, "8UC1", np.dstack([GREY] * 3)),
    ],
)
def test_plain_encodings_are_exact_views(pixels, encoding, expected):
    image = message(pixels, encoding)
    decoded = decode_image(image)
    assert np.array_equal(decoded, expected)
    assert np.shares_memory(decoded, np.frombuffer(image.data, np.uint8))


@pytest.mark.parametrize("bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_of_16_bit_grey_the_upper_byte_is_used(encoding, bigendian):
    wide = GREY.astype(np.uint16) * 256 + 17
    raw = wide.astype(">u2" if bigendian else "<u2")
    image = Image(width=16, height=12, encoding=encoding, is_bigendian=bigendian, step=32)
    image.data = array.array("B", raw.tobytes())
    assert np.array_equal(decode_image(image), np.dstack([GREY] * 3))


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "UYVY"), ("uyvy", "UYVY"), ("yuv422_yuy2", "YUYV"), ("yuyv", "YUYV")]
)
def test_yuv_encodings(encoding, order):
    yuv = cv2.cvtColor(SMOOTH, cv2.COLOR_RGB2YUV).astype(np.uint8)
    packed = np.zeros((12, 16, 2), np.uint8)
    luma, chroma = (1, 0) if order == "UYVY" else (0, 1)
    packed[..., luma] = yuv[..., 0]
    packed[:, 0::2, chroma], packed[:, 1::2, chroma] = yuv[:, 0::2, 1], yuv[:, 0::2, 2]
    assert np.abs(decode_image(message(packed, encoding)).astype(int) - SMOOTH).mean() < 25


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_encodings(pattern):
    flat = np.broadcast_to(np.array([200, 90, 30], np.uint8), (12, 16, 3))
    mosaic = np.zeros((12, 16), np.uint8)
    for index, letter in enumerate(pattern):
        row, column = divmod(index, 2)
        mosaic[row::2, column::2] = flat[row::2, column::2, "rgb".index(letter)]
    decoded = decode_image(message(mosaic, f"bayer_{pattern}8"))
    assert np.abs(decoded[2:-2, 2:-2].astype(int) - flat[2:-2, 2:-2]).max() <= 1


def test_padded_rows_are_cut():
    padded = np.zeros((12, 64), np.uint8)
    padded[:, :48] = RGB.reshape(12, 48)
    image = Image(width=16, height=12, encoding="rgb8", step=64)
    image.data = array.array("B", padded.tobytes())
    assert np.array_equal(decode_image(image), RGB)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"width": 0}, "at least one pixel"),
        ({"step": 5}, "need a step of 48, got 5"),
        ({"height": 13}, "need 624 bytes, got 576"),
        ({"encoding": "nonsense"}, "cv_bridge"),
    ],
)
def test_bad_images_name_the_value(changes, match):
    image = message(RGB, "rgb8")
    for name, value in changes.items():
        setattr(image, name, value)
    with pytest.raises(ValueError, match=match):
        decode_image(image)


def test_compressed_images():
    png = CompressedImage(format="png", data=cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    assert np.array_equal(decode_compressed(png), RGB)
    for data in (b"", b"not an image"):
        with pytest.raises(ValueError, match="cannot decode"):
            decode_compressed(CompressedImage(format="jpeg", data=data))


@given(
    st.sampled_from(["rgb8", "bgra8", "mono8", "mono16", "yuv422", "yuyv", "bayer_grbg8", "8UC2"]),
    st.integers(0, 20), st.integers(0, 20), st.integers(0, 100), st.binary(max_size=2000),
)  # fmt: skip
def test_a_message_decodes_or_is_refused(encoding, width, height, step, data):
    image = Image(width=width, height=height, step=step, encoding=encoding)
    image.data = data
    try:
        decoded = decode_image(image)
    except ValueError:
        return
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8
