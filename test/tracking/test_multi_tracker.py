"""Several targets: each is tracked as if it were alone, whatever happens to the others."""

from __future__ import annotations

import numpy as np
import pytest

from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import MultiTracker, Tracker
from trdimp_ros.tracking.randomness import RandomSource

FRAMES, BOXES = small_scene()
OTHER_BOXES = {"a": BOXES[0], "b": (10, 20, 30, 24), "c": (100, 60, 26, 40)}


def several(max_targets: int = 3, **changes) -> MultiTracker:
    return MultiTracker(tiny_network(), tiny_config(**changes), max_targets)


def alone(box, frames, **changes) -> list:
    tracker = Tracker(tiny_network(), tiny_config(**changes))
    tracker.initialize(FRAMES[0], box)
    return [tracker.track(frame) for frame in frames]


def assert_same_results(actual: list, wanted: list) -> None:
    assert len(actual) == len(wanted) > 0
    for one, other in zip(actual, wanted, strict=True):
        assert one.state == other.state
        assert one.search_area == other.search_area
        assert one.box == pytest.approx(other.box, abs=1e-3)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"train_skipping": 2, "transformer_skipping": 2},
        {"use_iou_net": False, "scale_factors": (1.0, 1.05, 0.95)},
        {"num_init_random_boxes": 0, "distractor_threshold": 0.5, "window_output": True},
    ],
    ids=["memories that change", "several scales", "one candidate"],
)
def test_each_target_is_tracked_as_if_it_were_alone(changes):
    tracker = several(**changes)
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    results = [tracker.track(frame) for frame in FRAMES[1:]]
    for name, box in OTHER_BOXES.items():
        assert_same_results([frame[name] for frame in results], alone(box, FRAMES[1:], **changes))


def test_a_target_keeps_what_it_learned_when_another_one_leaves():
    """The last one moves to the place of the one that left."""
    tracker = several(train_skipping=2, transformer_skipping=2)
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    results = [tracker.track(frame) for frame in FRAMES[1:5]]
    tracker.remove("a")
    assert tracker.names == ["c", "b"]
    results += [tracker.track(frame) for frame in FRAMES[5:]]
    for name in ("b", "c"):
        wanted = alone(OTHER_BOXES[name], FRAMES[1:], train_skipping=2, transformer_skipping=2)
        assert_same_results([frame[name] for frame in results], wanted)
    assert "a" not in results[-1]


def test_a_target_added_later_starts_afresh():
    tracker = several()
    tracker.add("b", FRAMES[0], OTHER_BOXES["b"])
    for frame in FRAMES[1:4]:
        tracker.track(frame)
    tracker.remove("b")
    tracker.add("a", FRAMES[0], OTHER_BOXES["a"])
    tracker.add("c", FRAMES[0], OTHER_BOXES["c"])
    results = [tracker.track(frame) for frame in FRAMES[1:6]]
    for name in ("a", "c"):
        assert_same_results([frame[name] for frame in results], alone(OTHER_BOXES[name], FRAMES[1:6]))


def test_adding_a_known_name_restarts_that_target_only():
    tracker = several()
    for name in ("a", "b"):
        tracker.add(name, FRAMES[0], OTHER_BOXES[name])
    first = [tracker.track(frame) for frame in FRAMES[1:4]]
    tracker.add("a", FRAMES[0], OTHER_BOXES["a"])
    again = [tracker.track(frame) for frame in FRAMES[4:6]]
    assert_same_results([frame["b"] for frame in first + again], alone(OTHER_BOXES["b"], FRAMES[1:6]))
    assert_same_results([frame["a"] for frame in again], alone(OTHER_BOXES["a"], FRAMES[4:6]))


def test_one_target_too_many_is_refused_and_changes_nothing():
    tracker = several(max_targets=1)
    tracker.add("a", FRAMES[0], BOXES[0])
    with pytest.raises(ValueError, match=r"1 targets are tracked already; .*max_targets"):
        tracker.add("b", FRAMES[0], BOXES[0])
    assert tracker.names == ["a"]
    assert tracker.track(FRAMES[1])["a"].found


def test_a_refused_box_leaves_the_target_of_that_name_alone():
    tracker = several()
    tracker.add("a", FRAMES[0], BOXES[0])
    with pytest.raises(ValueError, match="w=0"):
        tracker.add("a", FRAMES[0], (1, 1, 0, 5))
    assert tracker.names == ["a"]


def test_names_that_are_not_there():
    tracker = several()
    for use in (tracker.remove, tracker.target, tracker.filters, tracker.memories, tracker.score_map):
        with pytest.raises(ValueError, match="no target 'x'"):
            use("x")
    with pytest.raises(ValueError, match="max_targets"):
        several(max_targets=0)


def test_without_targets_there_are_no_results():
    tracker = several()
    assert tracker.track(FRAMES[0]) == {}
    tracker.add("a", FRAMES[0], BOXES[0])
    tracker.reset()
    assert tracker.track(FRAMES[1]) == {}


def test_removing_between_locate_and_learn_is_harmless():
    tracker = several()
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    tracker.locate(FRAMES[1])
    tracker.remove("a")
    tracker.learn()
    assert set(tracker.track(FRAMES[2])) == {"b", "c"}


def test_random_numbers_may_be_given():
    tracker = several()
    tracker.add("seeded", FRAMES[0], BOXES[0])
    tracker.add("given", FRAMES[0], BOXES[0], RandomSource(5))
    results = tracker.track(FRAMES[1])
    assert not np.array_equal(results["seeded"].box, results["given"].box)


def test_score_maps_belong_to_their_targets():
    tracker = several()
    for name in ("a", "b"):
        tracker.add(name, FRAMES[0], OTHER_BOXES[name])
    assert tracker.score_map("a") is None
    results = tracker.track(FRAMES[1])
    for name in ("a", "b"):
        assert tracker.score_map(name).max() == pytest.approx(results[name].confidence)
