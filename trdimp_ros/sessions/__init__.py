"""A tracking session: several targets with ids, initialised in present or past images, followed through a stream.

No threads, no ROS: the node, the command line and whoever reads a bag drive the same `TrackingSession`.
"""

from trdimp_ros.sessions.candidates import Candidate, HandOffSettings
from trdimp_ros.sessions.detector_hand_off import HandOffCounts
from trdimp_ros.sessions.image_buffer import BufferedImage, BufferLimits, ImageSource, ImmediateImage
from trdimp_ros.sessions.requests import DEFAULT_LABEL, InitRequest
from trdimp_ros.sessions.results import ImageResult, Problem, ProblemKind, TargetResult
from trdimp_ros.sessions.session import TrackingSession
from trdimp_ros.sessions.timing import OFFLINE, REAL_TIME, Timing

__all__ = [
    "DEFAULT_LABEL",
    "OFFLINE",
    "REAL_TIME",
    "BufferLimits",
    "BufferedImage",
    "Candidate",
    "HandOffCounts",
    "HandOffSettings",
    "ImageResult",
    "ImageSource",
    "ImmediateImage",
    "InitRequest",
    "Problem",
    "ProblemKind",
    "TargetResult",
    "Timing",
    "TrackingSession",
]
