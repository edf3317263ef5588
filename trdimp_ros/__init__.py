"""TrDiMP, a transformer-assisted discriminative object tracker, for Python, a shell and ROS 2.

Layers, each importing only from those before it: ``models`` (torch modules), ``checkpoints`` (weight files),
``tracking`` (the loop), ``media`` (video in and out), ``cli`` and ``ros``.
"""

import os
import pkgutil

# On a ROS machine the generated messages (trdimp_ros.msg) are installed as a second part of this package.
__path__ = pkgutil.extend_path(__path__, __name__)

__version__ = "0.1.0"

MAX_IMAGE_PIXELS = 2**27
"""Pixels of the largest image that is decoded (about 400 MB as RGB)."""

# OpenCV compares an image file's header with this before it takes memory; it reads the variable when it is loaded.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_IMAGE_PIXELS))
