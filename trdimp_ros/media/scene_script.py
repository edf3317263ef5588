"""What happens in a rendered scene with several objects: who moves where, leaves, returns and crosses whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BEAT = 25
"""Frames between two waypoints of an object: one second."""

LEAVING_BEATS = 2
"""Beats from the last waypoint in the image to the one outside, and back."""

SIZES = (0.6, 1.6)
"""Smallest and largest scale of an object."""

STARTING_COLUMNS = (0.32, 0.68, 0.12, 0.88)
"""Where objects are in frame 0, in shares of the image's width; the pillar stands between them."""


@dataclass(frozen=True)
class SceneScript:
    """A scene in numbers; the same script always gives the same pixels and the same truth.

    Attributes:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        frames: Number of frames, at 25 a second.
        seed: Seed of all textures, paths and noise.
        targets: Objects that are to be tracked; all are fully in the image in frame 0.
        target_difference: How much targets differ in texture, from 0 (the same) to 1 (of their own).
        look_alikes: Objects that nobody tracks; each resembles one target, in turn.
        look_alike_difference: How much a look-alike differs from its target, from 0 (the same) to 1.
        crossings: How often two objects pass through the same place at the same time, in turn over all pairs with a
            target; where absences leave no room for one it is left out.
        absences: How often each target leaves the image and returns at another side and in another size.
        absence_frames: Shortest and longest absence in frames, as planned; what the camera adds comes on top.
        camera_turn: How far the camera turns to each side, in widths of the image.
        camera_period: Frames of one turn there and back.
        camera_shake: Standard deviation of the camera's shaking in pixels.
        pillar: Whether a pillar stands in the scene, behind which objects hide.

    Raises:
        ValueError: naming the attribute that is out of bounds.
    """

    width: int = 640
    height: int = 480
    frames: int = 1500
    seed: int = 0
    targets: int = 2
    target_difference: float = 1.0
    look_alikes: int = 0
    look_alike_difference: float = 0.5
    crossings: int = 0
    absences: int = 0
    absence_frames: tuple[int, int] = (50, 150)
    camera_turn: float = 0.0
    camera_period: int = 400
    camera_shake: float = 0.0
    pillar: bool = False

    def __post_init__(self) -> None:
        bounds: dict[str, tuple[float, float]] = {
            "width": (64, 8192),
            "height": (64, 8192),
            "frames": (1, 1_000_000),
            "seed": (0, 2**32 - 1),
            "targets": (1, 8),
            "target_difference": (0, 1),
            "look_alikes": (0, 8),
            "look_alike_difference": (0, 1),
            "crossings": (0, 10_000),
            "absences": (0, 1000),
            "camera_turn": (0, 2),
            "camera_period": (50, 1_000_000),
            "camera_shake": (0, 50),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {getattr(self, name)}")
        shortest, longest = self.absence_frames
        if not 1 <= shortest <= longest:
            raise ValueError(f"absence_frames must rise and be at least 1, got {self.absence_frames}")
        if self.absences and self.frames // self.absences < longest + 8 * BEAT:
            raise ValueError(
                f"{self.absences} absences of up to {longest} frames need at least "
                f"{self.absences * (longest + 8 * BEAT)} frames, got {self.frames}"
            )


class Waypoint(NamedTuple):
    """Where an object's centre is in a frame, in pixels of the first image, and its scale."""

    frame: int
    x: float
    y: float
    scale: float


Stay = list[Waypoint]
"""The waypoints from entering the image to leaving it; between two stays the object is nowhere."""


def plan_paths(script: SceneScript, random: np.random.Generator) -> list[list[Stay]]:
    """The stays of every object, targets first.

    Args:
        script: What is asked for.
        random: Decides the rest.
    """
    count = script.targets + script.look_alikes
    absences = [_plan_absences(script, random) if number < script.targets else [] for number in range(count)]
    meetings = _plan_crossings(script, absences, random)
    return [
        _plan_stays(script, _starting_place(script, number, count), absences[number], meetings[number], random)
        for number in range(count)
    ]


def camera_path(script: SceneScript, random: np.random.Generator) -> NDArray[np.float64]:
    """Where the image's corner is in the scene, (frames, 2) x and y in pixels; (0, 0) in frame 0."""
    turn = script.camera_turn * script.width * np.sin(2 * np.pi * np.arange(script.frames) / script.camera_period)
    noise = random.normal(0.0, 1.0, (script.frames + 4, 2))
    smooth = sum(noise[shift : shift + script.frames] for shift in range(5)) / np.sqrt(5)
    shake = script.camera_shake * (smooth - smooth[0])
    return shake + np.stack([turn, np.zeros(script.frames)], axis=1)


def _plan_absences(script: SceneScript, random: np.random.Generator) -> list[tuple[int, int]]:
    """Beats of the last waypoint before each absence, and of the first after it, in the image."""
    planned = []
    for number in range(script.absences):
        first, last = (int(share * script.frames / script.absences) // BEAT for share in (number, number + 1))
        away = int(np.ceil(random.integers(script.absence_frames[0], script.absence_frames[1] + 1) / BEAT))
        latest = last - away - 2 * LEAVING_BEATS - 1
        leaving = int(random.integers(first + 2, max(latest, first + 2) + 1))
        planned.append((leaving, leaving + away + 2 * LEAVING_BEATS))
    return planned


def _plan_crossings(
    script: SceneScript, absences: list[list[tuple[int, int]]], random: np.random.Generator
) -> list[dict[int, tuple[float, float]]]:
    """For every object, the place it must be at, by beat."""
    count = len(absences)
    meetings: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    pairs = [(one, other) for one in range(script.targets) for other in range(one + 1, count)]
    beats = random.permutation(np.arange(3, max(script.frames // BEAT - 2, 3)))
    free = [list(beats) for _ in pairs]
    for number in range(script.crossings if pairs else 0):
        one, other = pairs[number % len(pairs)]
        for beat in free[number % len(pairs)]:
            near = range(beat - 2, beat + 3)
            busy = any(moment in meetings[who] for who in (one, other) for moment in near)
            away = any(
                leaving - 1 <= beat <= back + 1 or leaving - 1 <= beat - 2 <= back + 1 or leaving <= beat + 2 <= back
                for who in (one, other)
                for leaving, back in absences[who]
            )
            if not busy and not away:
                x, y = random.uniform(0.38, 0.62) * script.width, random.uniform(0.3, 0.7) * script.height
                for who, side in ((one, -1), (other, 1)):
                    for moment in (-1, 0, 1):
                        meetings[who][int(beat) + moment] = (x + side * moment * 0.22 * script.width, y)
                break
    return meetings


def _starting_place(script: SceneScript, number: int, count: int) -> tuple[float, float]:
    """Places in frame 0: apart from each other, and not behind the pillar."""
    row, column = divmod(number, len(STARTING_COLUMNS))
    rows = -(-count // len(STARTING_COLUMNS))
    return STARTING_COLUMNS[column] * script.width, (0.1 + 0.8 * (row + 0.5) / rows) * script.height


def _plan_stays(
    script: SceneScript,
    start: tuple[float, float],
    absences: list[tuple[int, int]],
    meetings: dict[int, tuple[float, float]],
    random: np.random.Generator,
) -> list[Stay]:
    stays: list[Stay] = []
    stay, beat = [Waypoint(0, *start, 1.0)], 1
    for leaving, back in absences:
        last = _wander(script, stay, range(beat, leaving + 1), meetings, random)
        side = int(random.integers(4))
        outside = _outside(script, last.x, last.y, side)
        stays.append([*stay, Waypoint((leaving + LEAVING_BEATS) * BEAT, *outside, last.scale)])
        x, y = random.uniform(0.3, 0.7) * script.width, random.uniform(0.3, 0.7) * script.height
        scale = _other_size(last.scale, random)
        outside = _outside(script, x, y, (side + int(random.integers(1, 4))) % 4)
        stay = [Waypoint((back - LEAVING_BEATS) * BEAT, *outside, scale), Waypoint(back * BEAT, x, y, scale)]
        beat = back + 1
    _wander(script, stay, range(beat, (script.frames - 1) // BEAT + 2), meetings, random)
    return [*stays, stay]


def _wander(
    script: SceneScript, stay: Stay, beats: range, meetings: dict[int, tuple[float, float]], random: np.random.Generator
) -> Waypoint:
    """Append waypoints in the image to a stay; returns the last one."""
    for beat in beats:
        _, x, y, scale = stay[-1]
        x, y = meetings.get(beat) or _next_place(script, x, y, random)
        stay.append(Waypoint(beat * BEAT, x, y, float(np.clip(scale * np.exp(random.normal(0, 0.06)), *SIZES))))
    return stay[-1]


def _next_place(script: SceneScript, x: float, y: float, random: np.random.Generator) -> tuple[float, float]:
    """A place in the image within reach of the last one."""
    step = random.uniform(-0.2, 0.2, 2) * script.width
    low, high = np.array([0.12, 0.15]), np.array([0.88, 0.85])
    size = np.array([script.width, script.height])
    place = np.clip(np.array([x, y]) + step, low * size, high * size)
    return float(place[0]), float(place[1])


def _outside(script: SceneScript, x: float, y: float, side: int) -> tuple[float, float]:
    """A place beyond the left, top, right or bottom edge that stays outside however the camera turns."""
    horizontal = (0.25 + script.camera_turn) * script.width + 6 * script.camera_shake
    vertical = 0.3 * script.height + 6 * script.camera_shake
    return [(-horizontal, y), (x, -vertical), (script.width + horizontal, y), (x, script.height + vertical)][side]


def _other_size(scale: float, random: np.random.Generator) -> float:
    """A size a third smaller or larger than the last, or more."""
    larger = scale < 1.0 if random.random() < 0.8 else scale * 1.6 < SIZES[1]
    factor = random.uniform(1.35, 1.6) if larger else random.uniform(0.62, 0.74)
    return float(np.clip(scale * factor, *SIZES))
