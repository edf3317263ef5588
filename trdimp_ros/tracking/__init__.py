"""The tracking loop: crops, memories, localisation, refinement."""

from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.localization import State
from trdimp_ros.tracking.presets import PRESETS, preset
from trdimp_ros.tracking.tracker import Tracker, TrackResult

__all__ = ["PRESETS", "Box", "State", "TrackResult", "Tracker", "TrackerConfig", "preset"]
