"""The nodes' threads, too, spin only briefly: seen in what torch's OpenMP runtime prints when a node's module loads."""

from __future__ import annotations

import os
import subprocess
import sys

from trdimp_ros.openmp import CHOICES, SPINS


def test_the_node_spins_briefly():
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES}
    run = subprocess.run(
        [sys.executable, "-c", "import trdimp_ros.ros.tracker_node"],
        env=clean | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"GOMP_SPINCOUNT = '{SPINS['GOMP_SPINCOUNT']}'" in run.stderr
