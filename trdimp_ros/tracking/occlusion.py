"""What a partly hidden target keeps: the size with which it was seen clearly.

A box that is found round what is left to see of a target shrinks as the target goes behind something, and the search
area with it, until it is too small to see the target return. How much is hidden shows in the confidence, measured by
the confidence with which this very target is usually seen.
"""

from __future__ import annotations

import numpy as np

from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.geometry import Pair
from trdimp_ros.tracking.localization import State

RAMP = 0.2
"""From `TrackerConfig.occlusion_share` on to so much more of the usual confidence, a size is believed more and more."""

CLEAR = 0.75
"""From this share of the usual confidence on a target counts as wholly seen: what goes behind something keeps its size
before it keeps its confidence."""

AVERAGE = 0.02
"""Share of the newest image in the usual confidence."""


def size_trust(confidence: float, usual: float, share: float) -> float:
    """How far the size of a found box is believed, 0 to 1.

    Args:
        confidence: The confidence of the image.
        usual: The confidence with which the target is usually seen; 0 or less: not known yet.
        share: The share of the usual confidence below which a target is taken to be partly hidden; 0: never.
    """
    if share <= 0 or usual <= 0:
        return 1.0
    return min(max((confidence / usual - share) / RAMP, 0.0), 1.0)


def wholly_seen(confidence: float, usual: float, share: float) -> bool:
    """Whether the size of a found box is one to remember; the arguments are those of `size_trust`."""
    return share <= 0 or usual <= 0 or confidence >= CLEAR * usual


def hold_size(decision: FrameDecision, trust: float, clear_size: Pair, base_size: Pair) -> FrameDecision:
    """The decision with a size between that of the last clear view and the one found.

    Args:
        decision: What was decided for the target in this frame.
        trust: How far the size found is believed, 0 to 1, see `size_trust`.
        clear_size: Height and width when the target was seen clearly last.
        base_size: Height and width of the target at scale 1.
    """
    if trust >= 1 or decision.state == State.NOT_FOUND:
        return decision
    size = (clear_size * (decision.size / clear_size) ** np.float32(trust)).astype(np.float32)
    scale = np.float32(np.sqrt(np.prod(size) / np.prod(base_size)))
    return decision._replace(size=size, scale=scale)


def usual_confidence(usual: float, confidence: float) -> float:
    """The running average after an image in which the target was trusted; 0 before the first."""
    return usual + AVERAGE * (confidence - usual) if usual > 0 else confidence
