"""Where to look for a target that is lost: round its last place in a region that grows, then in the whole image.

All functions are pure and deterministic. Positions are (row, column) and sizes (height, width) in image pixels.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SIZE_FACTORS = (1.0, math.sqrt(2.0), 1.0, math.sqrt(0.5))
"""The sizes that successive sweeps look for, in units of the size last seen clearly: that size, which is the likeliest,
every other time, and in between half an octave up and half an octave down."""
STEP = 0.6
"""Distance of the centres of neighbouring search areas in sides of a search area: a target of a fifth of a side is
then seen whole, with some of its surroundings, in one of them."""
REACH_GROWTH = 0.25
"""Growth of the searched region for each image in which the target is lost, in target sizes sqrt(w*h)."""
WHOLE_IMAGE_AFTER = 30
"""After so many images the target can be anywhere."""
OWN_AREA = 0.25
"""The place where a target was lost is searched in every image anyway; places as near to it as this share of a search
area's side are left out."""

MOST_STEPS = 24
"""At most so many areas lie beside one another; those of a tiny target in a huge image leave gaps."""

Position = tuple[float, float]
"""Row and column."""


class SearchPlace(NamedTuple):
    """A place to look at.

    Attributes:
        position: The middle of the search area.
        size_factor: The size to look for in units of the size last seen clearly.
    """

    position: Position
    size_factor: float


class Region(NamedTuple):
    """A part of the image: rows from ``top`` to ``bottom``, columns from ``left`` to ``right``."""

    top: float
    left: float
    bottom: float
    right: float


class LostTarget(NamedTuple):
    """What the plan depends on.

    Attributes:
        position: Where the target was seen last.
        length: sqrt(height * width) of the size last seen clearly.
        speed: Image pixels that it moved per image before it was lost.
        images_lost: The number of images since.
    """

    position: Position
    length: float
    speed: float
    images_lost: int


def search_region(target: LostTarget, image_size: tuple[int, int], area_side: float) -> Region:
    """Where a lost target can be by now.

    Args:
        target: The lost target.
        image_size: Rows and columns.
        area_side: Side of a search area in image pixels.

    Returns:
        A square round the last place, cut at the image's borders, or the whole image.
    """
    height, width = image_size
    if target.images_lost >= WHOLE_IMAGE_AFTER:
        return Region(0.0, 0.0, float(height), float(width))
    # At least a ring of areas round the one that is searched in every image.
    reach = area_side + (REACH_GROWTH * target.length + target.speed) * target.images_lost
    row, column = target.position
    row, column = min(max(row, 0.0), float(height)), min(max(column, 0.0), float(width))
    return Region(max(row - reach, 0.0), max(column - reach, 0.0), min(row + reach, height), min(column + reach, width))


def centers(low: float, high: float, side: float) -> list[float]:
    """Middles of evenly spaced intervals of length ``side``, at most `STEP` * side apart, that cover low to high.

    One interval in the middle where it covers everything, and never more than `MOST_STEPS` + 1.
    """
    room = high - low - side
    if room <= 1e-6 * side:  # no more than what rounding leaves
        return [(low + high) / 2]
    steps = min(math.ceil(room / (STEP * side)), MOST_STEPS)
    return [low + side / 2 + room * step / steps for step in range(steps + 1)]


def sweep(target: LostTarget, image_size: tuple[int, int], area_side: float, size_factor: float) -> list[SearchPlace]:
    """The places of one pass over the region where a lost target can be, the nearest to its last place first.

    Args:
        target: The lost target.
        image_size: Rows and columns.
        area_side: Side of the search area at the size last seen clearly, image pixels.
        size_factor: The size to look for in units of that size.
    """
    region = search_region(target, image_size, area_side)
    side = area_side * size_factor
    places = [
        (row, column)
        for row in centers(region.top, region.bottom, side)
        for column in centers(region.left, region.right, side)
    ]
    if size_factor == 1.0:
        places = [place for place in places if math.dist(place, target.position) > OWN_AREA * side]
    places.sort(key=lambda place: (math.dist(place, target.position), place))
    return [SearchPlace(place, size_factor) for place in places]


class SearchSchedule:
    """Hands out the places of one sweep after the other, a few for each image."""

    def __init__(self) -> None:
        self._sweeps = 0
        self._waiting: list[SearchPlace] = []

    def take(self, count: int, target: LostTarget, image_size: tuple[int, int], area_side: float) -> list[SearchPlace]:
        """The next places to look at.

        Args:
            count: How many are wanted.
            target: The lost target, as it is known now.
            image_size: Rows and columns.
            area_side: Side of the search area at the size last seen clearly, image pixels.

        Returns:
            The places, `count` of them or fewer where a search area at the last place covers everything.
        """
        taken: list[SearchPlace] = []
        empty = 0  # sweeps in a row
        while len(taken) < count and empty < len(SIZE_FACTORS):
            if not self._waiting:
                factor = SIZE_FACTORS[self._sweeps % len(SIZE_FACTORS)]
                self._waiting = sweep(target, image_size, area_side, factor)
                self._sweeps += 1
                empty = empty + 1 if not self._waiting else 0
            share = count - len(taken)
            taken += self._waiting[:share]
            self._waiting = self._waiting[share:]
        return taken


def shares(budget: int, waiting: int, turn: int) -> list[int]:
    """How many places each of several lost targets gets of one image's budget.

    Args:
        budget: The number of places for all of them.
        waiting: The number of lost targets.
        turn: Number of the image, so that what cannot be divided goes round.

    Returns:
        A number for each target; their sum is the budget.
    """
    if waiting == 0:
        return []
    even, rest = divmod(budget, waiting)
    return [even + (1 if (index - turn * rest) % waiting < rest else 0) for index in range(waiting)]
