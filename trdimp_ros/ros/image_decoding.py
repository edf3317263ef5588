"""Between sensor_msgs images and RGB arrays, without cv_bridge wherever possible.

Where the pixels can be used as they lie in the message, the result is a view: nothing is copied before the tracker
takes its crop.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from trdimp_ros.ros.messages import nanoseconds

Pixels = NDArray[np.uint8]


def _grey(pixels: Pixels) -> Pixels:
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _converted(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), code), np.uint8)


# encoding: (bytes per pixel, from (H, W, bytes) to RGB). OpenCV names a Bayer pattern by its second row.
_DECODERS: dict[str, tuple[int, Callable[[Pixels], Pixels]]] = {
    "rgb8": (3, lambda pixels: pixels),
    "bgr8": (3, lambda pixels: pixels[..., ::-1]),
    "8UC3": (3, lambda pixels: pixels[..., ::-1]),
    "rgba8": (4, lambda pixels: pixels[..., :3]),
    "bgra8": (4, lambda pixels: pixels[..., 2::-1]),
    "8UC4": (4, lambda pixels: pixels[..., 2::-1]),
    "mono8": (1, _grey),
    "8UC1": (1, _grey),
    "yuv422": (2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": (2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": (2, _converted(cv2.COLOR_YUV2RGB_YUY2)),
    "yuyv": (2, _converted(cv2.COLOR_YUV2RGB_YUY2)),
    "bayer_rggb8": (1, _converted(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": (1, _converted(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": (1, _converted(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": (1, _converted(cv2.COLOR_BayerGB2RGB)),
}
_MONO16 = ("mono16", "16UC1")
_EVEN_WIDTH = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv")


def decode_image(message: Image) -> Pixels:
    """The image as (H, W, 3) uint8 RGB; often a view of the message.

    Of 16-bit grey images the upper byte is used.

    Raises:
        ValueError: for an unknown encoding, or sizes that do not fit the data.
    """
    encoding = message.encoding
    if encoding in _MONO16:
        pixels = _pixels(message, 2)
        return _grey(pixels[..., 0:1] if message.is_bigendian else pixels[..., 1:2])
    if encoding not in _DECODERS:
        return _decode_by_cv_bridge(message)
    bytes_per_pixel, decode = _DECODERS[encoding]
    if encoding in _EVEN_WIDTH and message.width % 2:
        raise ValueError(f"an image of encoding {encoding} must have an even width, got {message.width}")
    if encoding.startswith("bayer") and min(message.width, message.height) < 2:
        raise ValueError(f"a Bayer image needs at least 2x2 pixels, got {message.width}x{message.height}")
    return decode(_pixels(message, bytes_per_pixel))


def decode_compressed(message: CompressedImage) -> Pixels:
    """A JPEG or PNG image as (H, W, 3) uint8 RGB.

    Raises:
        ValueError: for data that is no image.
    """
    data = np.frombuffer(message.data, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise ValueError(f"cannot decode a compressed image of format {message.format!r} and {data.size} bytes")
    return np.asarray(image, np.uint8)[..., ::-1]


@dataclass(frozen=True)
class MessageImage:
    """An image message as a session takes it: decoded when it is needed.

    Attributes:
        message: The image.
        arrival: The time of its arrival, nanoseconds of the node's clock.
    """

    message: Image | CompressedImage
    arrival: int

    @property
    def header(self) -> Header:
        """The message's header."""
        return self.message.header

    @property
    def stamp(self) -> int:
        """The message's stamp, nanoseconds; 0: none."""
        return nanoseconds(self.message.header.stamp)

    @property
    def size_in_bytes(self) -> int:
        """The memory of the message's data."""
        return len(self.message.data)

    def decode(self) -> Pixels:
        """The image as (H, W, 3) uint8 RGB; see `decode_image` and `decode_compressed`."""
        message = self.message
        return decode_compressed(message) if isinstance(message, CompressedImage) else decode_image(message)


def encode_image(pixels: NDArray[np.uint8] | NDArray[np.float32], encoding: str, header: Header) -> Image:
    """An image message from an array (H, W) or (H, W, channels); its dtype must fit the encoding."""
    packed = np.ascontiguousarray(pixels)
    data = array.array("B")
    data.frombytes(packed.data.cast("B"))  # a list or an array would be converted number by number
    message = Image(header=header, height=packed.shape[0], width=packed.shape[1], encoding=encoding)
    message.step = packed.strides[0]
    message.data = data
    return message


def _pixels(message: Image, bytes_per_pixel: int) -> Pixels:
    """The message's bytes as (H, W, bytes per pixel), rows cut to their width; a view."""
    height, width, step = message.height, message.width, message.step
    if height == 0 or width == 0:
        raise ValueError(f"an image must have at least one pixel, got {width}x{height}")
    if step < width * bytes_per_pixel:
        raise ValueError(f"{width} pixels of {message.encoding} need a step of {width * bytes_per_pixel}, got {step}")
    data = np.frombuffer(message.data, np.uint8)
    if data.size < step * height:
        raise ValueError(f"{height} rows of {step} bytes need {step * height} bytes, got {data.size}")
    rows = data[: step * height].reshape(height, step)
    return rows[:, : width * bytes_per_pixel].reshape(height, width, bytes_per_pixel)


def _decode_by_cv_bridge(message: Image) -> Pixels:
    """For rare encodings. cv_bridge is imported late: its compiled part needs the NumPy it was built for."""
    try:
        from cv_bridge import CvBridge, CvBridgeError  # noqa: PLC0415
    except Exception as error:  # a NumPy of another generation makes it fail in several ways
        raise ValueError(
            f"encoding {message.encoding!r} needs cv_bridge, which cannot be imported ({error}); with ROS from apt use "
            f"numpy 1.x, or let the camera send one of {', '.join((*_DECODERS, *_MONO16))}"
        ) from error
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8"), np.uint8)
    except (CvBridgeError, KeyError, TypeError, ValueError, cv2.error) as error:
        raise ValueError(f"cv_bridge cannot turn encoding {message.encoding!r} into rgb8: {error}") from error
