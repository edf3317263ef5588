"""The tracking loop: crops, memories, localisation, refinement."""

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.long_term import LongTermTracker
from trdimp_ros.tracking.multi_tracker import MultiTracker
from trdimp_ros.tracking.presets import PRESETS, preset
from trdimp_ros.tracking.target import TargetState, TrackResult
from trdimp_ros.tracking.tracker import Tracker

__all__ = [
    "PRESETS",
    "Box",
    "LongTermTracker",
    "MultiTracker",
    "State",
    "TargetState",
    "TrackResult",
    "Tracker",
    "TrackerConfig",
    "preset",
]
