"""Two targets may not end on one object."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from trdimp_ros.tracking.geometry import intersection_over_union
from trdimp_ros.tracking.target import TrackResult


def displaced(
    results: Mapping[Hashable, TrackResult], most_overlap: float, unverified: Collection[Hashable] = ()
) -> list[Hashable]:
    """The targets that stand where another one fits better.

    Targets are gone through from the highest confidence, which is the score of a target's own filter at its box; one
    whose box coincides with that of a better one is displaced. A displaced target does not displace others, and one
    that is not known to be there does not displace one that is.

    Args:
        results: The results of one image by the targets' names; those that were not found do not count.
        most_overlap: Boxes with more overlap (intersection over union) coincide.
        unverified: The targets that were lost and have not been verified.

    Returns:
        Their names, in the order of the results. Of equal ones the first stays.
    """
    order = {name: index for index, name in enumerate(results)}
    found = sorted(
        (name for name, result in results.items() if result.found),
        key=lambda name: (name in unverified, -results[name].confidence, order[name]),
    )
    staying: list[Hashable] = []
    leaving = []
    for name in found:
        box = results[name].box
        if any(intersection_over_union(box, results[other].box) > most_overlap for other in staying):
            leaving.append(name)
        else:
            staying.append(name)
    return sorted(leaving, key=lambda name: order[name])
