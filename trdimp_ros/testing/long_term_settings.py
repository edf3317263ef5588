"""The settings of long-term tracking that benchmarks compare."""

from __future__ import annotations

LONG_TERM_SETTINGS: dict[str, dict[str, object]] = {
    "off": {"reacquire_budget": 0, "exclusivity_overlap": 0.0, "camera_motion": "off"},
    "search": {"reacquire_budget": 3, "exclusivity_overlap": 0.0, "camera_motion": "off"},
    "search, apart": {"reacquire_budget": 3, "exclusivity_overlap": 0.5, "camera_motion": "off"},
    "all": {"reacquire_budget": 3, "exclusivity_overlap": 0.5, "camera_motion": "auto"},
}
"""By name; the last is what the preset `compact` has."""
