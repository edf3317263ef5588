"""A window that shows frames, where there is a display."""

from __future__ import annotations

import subprocess
import sys

import cv2

from trdimp_ros.media.sources import Frame

TITLE = "trdimp (press q to stop)"

_PROBE = f"import cv2; cv2.namedWindow({TITLE!r}); cv2.waitKey(1); cv2.destroyAllWindows()"


def check_display() -> None:
    """Try to open a window, in a process of its own: without a display OpenCV's Qt aborts the process that asks.

    Raises:
        ValueError: if no window can be opened.
    """
    try:
        done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        pass
    else:
        if done.returncode == 0:
            return
    raise ValueError(
        "--show needs a display and an OpenCV with windows (opencv-python, not -headless); use --save instead"
    )


def show(frame: Frame) -> bool:
    """Show an RGB frame.

    Returns:
        Whether the user wants to see more, so has not pressed q.
    """
    cv2.imshow(TITLE, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return cv2.waitKey(1) & 0xFF != ord("q")
