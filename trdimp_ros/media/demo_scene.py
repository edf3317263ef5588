"""The scene of the demo: two targets, one of which leaves the image and comes back at its other side."""

from __future__ import annotations

from trdimp_ros.media.scene_script import SceneScript, Stay, Waypoint
from trdimp_ros.media.scripted_scene import ScriptedScene

FRAMES = 200

PATHS = (
    (((0, 0.25, 0.30, 1.00), (50, 0.45, 0.62, 1.20), (100, 0.72, 0.72, 1.30), (150, 0.60, 0.40, 1.05),
      (200, 0.35, 0.28, 0.95)),),
    (((0, 0.68, 0.60, 1.00), (40, 0.78, 0.32, 1.10), (80, 1.20, 0.30, 1.15)),
     ((110, -0.20, 0.62, 0.85), (145, 0.22, 0.72, 0.80), (175, 0.42, 0.78, 0.85), (200, 0.60, 0.80, 0.95))),
)  # fmt: skip
"""For each target its stays in the image: frame, centre in shares of the image's width and height, and scale."""

SEED = 5
"""Of textures and noise."""


def demo_scene(width: int = 640, height: int = 480) -> ScriptedScene:
    """Two targets for 200 frames: the first stays, the second leaves at the right and comes back from the left.

    Args:
        width: Of the image, pixels.
        height: Of the image, pixels.

    Raises:
        ValueError: for an image that is too small or too large.
    """
    script = SceneScript(width=width, height=height, frames=FRAMES, seed=SEED, targets=len(PATHS))
    paths: list[list[Stay]] = [
        [[Waypoint(frame, x * width, y * height, scale) for frame, x, y, scale in stay] for stay in stays]
        for stays in PATHS
    ]
    return ScriptedScene(script, paths)
