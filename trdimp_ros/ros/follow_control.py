"""The arithmetic of following: from a box in the image to a forward speed and a turning rate. No ROS in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trdimp_ros.parameters import check_parameters, parameter
from trdimp_ros.tracking import Box


@dataclass(frozen=True)
class FollowGains:
    """How to follow."""

    turn_gain: float = parameter(
        1.0,
        "Turning rate (rad/s) at a target at the edge of the image; raising it turns faster, and may swing.",
        0.0,
        100.0,
    )
    drive_gain: float = parameter(
        0.5, "Speed (m/s) per relative error of the target's size; raising it drives faster.", 0.0, 100.0
    )
    target_height: float = parameter(
        0.3, "Wanted height of the box as a share of the image's height.", maximum=1.0, above=0.0
    )
    turn_dead_zone: float = parameter(
        0.05, "Share of half the image's width within which the robot does not turn.", 0.0, 1.0
    )
    size_dead_zone: float = parameter(
        0.1, "Relative error of the target's size within which the robot does not drive.", 0.0, 1.0
    )
    max_turn: float = parameter(1.0, "Limit of the turning rate, rad/s.", 0.0, 100.0)
    max_speed: float = parameter(0.5, "Limit of the speed, m/s, forwards and backwards.", 0.0, 100.0)

    def __post_init__(self) -> None:
        check_parameters(self)


def follow(box: Box, image_width: int, image_height: int, gains: FollowGains) -> tuple[float, float]:
    """Speed (m/s, forwards positive) and turning rate (rad/s, left positive) that bring the target to the middle of the
    image and to its wanted size.

    Args:
        box: The target's box in image pixels.
        image_width: The image's width in pixels.
        image_height: The image's height in pixels.
        gains: How strongly the robot reacts, and its limits.

    Raises:
        ValueError: for a box that says nothing: with NaN or infinity in it, or without a size.
    """
    if not all(math.isfinite(value) for value in box) or box.w <= 0 or box.h <= 0:
        raise ValueError(f"no box to drive by: x={box.x} y={box.y} w={box.w} h={box.h}")
    to_the_left = 1.0 - 2.0 * (box.x + box.w / 2) / image_width  # 1 at the left edge, -1 at the right one
    too_small = 1.0 - box.h / (gains.target_height * image_height)  # 1 at no height at all
    if not (math.isfinite(to_the_left) and math.isfinite(too_small)):
        raise ValueError(f"no box to drive by: x={box.x} y={box.y} w={box.w} h={box.h}")
    turn = 0.0 if abs(to_the_left) <= gains.turn_dead_zone else gains.turn_gain * to_the_left
    speed = 0.0 if abs(too_small) <= gains.size_dead_zone else gains.drive_gain * too_small
    return (
        min(max(speed, -gains.max_speed), gains.max_speed),
        min(max(turn, -gains.max_turn), gains.max_turn),
    )
