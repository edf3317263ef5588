"""How torch's processor threads wait for each other.

OpenMP's threads meet at the end of every parallel loop, thousands of times a frame, and by default those that arrive
first spin until the last one comes. On cores of their own that is fastest. Where a camera driver, a controller or a
planner computes as well, the spinning threads keep the core from the very thread that they wait for, and a frame takes
many times as long. Threads that spin for a moment and then sleep are good both ways; ``benchmarks/contention.py``
measures it.
"""

from __future__ import annotations

import os
import sys

SPINS = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
"""GNU's runtime, which torch's wheels for Linux bring along, counts turns of a loop: these are about 0.05 ms. LLVM's
and Intel's, which conda's torch and other systems have, count milliseconds."""

CHOICES = ("OMP_WAIT_POLICY", *SPINS)
"""Environment variables with which a user decides this; one of them set, and nothing is changed."""


def spin_briefly() -> bool:
    """Have the OpenMP runtime's threads spin only briefly before they sleep. Works only before torch is imported.

    Returns:
        Whether it was done: not where the user has decided it, and not where torch has already been imported.
    """
    if "torch" in sys.modules or any(name in os.environ for name in CHOICES):
        return False
    os.environ.update(SPINS)
    return True
