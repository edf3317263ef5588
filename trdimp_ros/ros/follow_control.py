"""The arithmetic of following: from a box in the image to a forward speed and a turning rate. No ROS in it."""

from __future__ import annotations

from dataclasses import dataclass

from trdimp_ros.tracking import Box


@dataclass(frozen=True)
class FollowGains:
    """How to follow.

    Attributes:
        turn_gain: Turning rate (rad/s) at a target at the edge of the image; raising it turns faster, and may swing.
        drive_gain: Speed (m/s) per relative error of size; raising it drives faster.
        target_height: Wanted height of the box as a share of the image's height.
        turn_dead_zone: Share of half the image's width within which the robot does not turn.
        size_dead_zone: Relative error of size within which it does not drive.
        max_turn: Limit of the turning rate, rad/s.
        max_speed: Limit of the speed, m/s, forwards and backwards.
    """

    turn_gain: float = 1.0
    drive_gain: float = 0.5
    target_height: float = 0.3
    turn_dead_zone: float = 0.05
    size_dead_zone: float = 0.1
    max_turn: float = 1.0
    max_speed: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be finite and not negative, got {value}")
        if self.target_height <= 0:
            raise ValueError(f"target_height must be positive, got {self.target_height}")


def follow(box: Box, image_width: int, image_height: int, gains: FollowGains) -> tuple[float, float]:
    """Speed (m/s, forwards positive) and turning rate (rad/s, left positive) that bring the target to the middle and to
    its wanted size.

    Args:
        box: Of the target, image pixels.
        image_width: Of the image.
        image_height: Of the image.
        gains: How to follow.
    """
    to_the_left = 1.0 - 2.0 * (box.x + box.w / 2) / image_width  # 1 at the left edge, -1 at the right one
    too_small = 1.0 - box.h / (gains.target_height * image_height)  # 1 at no height at all
    turn = 0.0 if abs(to_the_left) <= gains.turn_dead_zone else gains.turn_gain * to_the_left
    speed = 0.0 if abs(too_small) <= gains.size_dead_zone else gains.drive_gain * too_small
    return (
        min(max(speed, -gains.max_speed), gains.max_speed),
        min(max(turn, -gains.max_turn), gains.max_turn),
    )
