"""Tracking that does not give up: lost and found again, kept apart, moved with the camera; off, it changes nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from trdimp_ros.checkpoints import bundled_network
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import Box, LongTermTracker, MultiTracker, State, preset
from trdimp_ros.tracking.appearance import IMAGES_BETWEEN, SETTLED
from trdimp_ros.tracking.geometry import intersection_over_union, position_and_size
from trdimp_ros.tracking.image_search import AreaToSearch
from trdimp_ros.tracking.returns import IMAGES
from trdimp_ros.tracking.whereabouts import Phase

FRAMES, BOXES = small_scene()
OTHER_BOXES = {"a": BOXES[0], "b": (10, 20, 30, 24), "c": (100, 60, 26, 40)}


def tiny_long_term(max_targets: int = 3, **changes) -> LongTermTracker:
    return LongTermTracker(tiny_network(), tiny_config(**changes), max_targets)


def picture(place: tuple[int, int] | None, seed: int) -> np.ndarray:
    """The scene without its target, and the target pasted in with its corner at (x, y)."""
    scene = RenderedScene(320, 240)
    image = scene.frame(136)
    if place is not None:
        x, y, w, h = (round(value) for value in scene.box(0))
        patch = scene.frame(0)[y : y + h, x : x + w]
        image = image.copy()
        image[place[1] : place[1] + h, place[0] : place[0] + w] = patch
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def true_box(place: tuple[int, int]) -> Box:
    _, _, w, h = (round(value) for value in RenderedScene(320, 240).box(0))
    return Box(*place, w, h)


LEAVES_FROM, RETURNS_TO = (30, 30), (250, 170)


def gone_and_back(tracker: LongTermTracker) -> list:
    """Results of 8 images with the target, 10 without, and 14 in which it is at the other end."""
    tracker.add("sign", picture(LEAVES_FROM, 0), true_box(LEAVES_FROM))
    places = [LEAVES_FROM] * 8 + [None] * 10 + [RETURNS_TO] * 14
    return [tracker.track(picture(place, 1 + index))["sign"] for index, place in enumerate(places)]


def compact_tracker(**changes) -> LongTermTracker:
    network, _ = bundled_network()
    return LongTermTracker(network, dataclasses.replace(preset("compact"), **changes), 2)


@pytest.fixture(scope="module")
def found_again() -> list:
    return gone_and_back(compact_tracker(reacquire_budget=3))


def test_a_target_that_returns_elsewhere_is_found_again(found_again):
    last = found_again[-1]
    assert last.state in (State.NORMAL, State.HARD_NEGATIVE)
    assert intersection_over_union(last.box, true_box(RETURNS_TO)) > 0.5


def test_it_is_uncertain_before_it_counts_as_found(found_again):
    after = [result.state for result in found_again[18:]]
    first_found = next(index for index, state in enumerate(after) if state is State.NORMAL)
    confirmations = preset("compact").reacquire_confirmations
    assert after[first_found - confirmations + 1 : first_found] == [State.UNCERTAIN] * (confirmations - 1)
    assert State.NOT_FOUND in after[:first_found]


def test_nothing_is_learned_from_a_return_before_it_has_been_looked_at_often_enough(monkeypatch):
    learned: list[bool] = []
    learn = MultiTracker.learn

    def record(self: MultiTracker, names: list[str]) -> None:
        learned.append("sign" in names)
        learn(self, names)

    monkeypatch.setattr(MultiTracker, "learn", record)
    results = gone_and_back(compact_tracker(reacquire_budget=3))
    assert len(learned) == len(results)
    returned = next(index for index in range(18, len(results)) if results[index].state is State.NORMAL)
    settled = returned + IMAGES - preset("compact").reacquire_confirmations
    assert learned == [True] * 8 + [False] * (settled - 8) + [True] * (len(results) - settled)
    assert settled < len(results)


def test_what_comes_back_must_score_higher_where_it_does_not_look_like_the_target():
    """With next to no difference allowed the target itself looks wrong; it then needs 1.6 of its usual score."""
    changes = {"reacquire_budget": 3, "reacquire_share": 0.8}
    counted, not_counted = (
        [result.state for result in gone_and_back(compact_tracker(reacquire_looks=looks, **changes))[18:]]
        for looks in (1e-3, 0.0)
    )
    assert State.NORMAL in not_counted
    assert State.NORMAL not in counted


def taken_along(**changes) -> tuple[list, Box, Box]:
    """Results after something in other colours has taken the tracker along, and the boxes of both."""
    tracker, settled = compact_tracker(**changes), IMAGES_BETWEEN * SETTLED
    true, other = true_box(LEAVES_FROM), true_box(RETURNS_TO)
    images = []
    for index in range(settled + 16):
        image = picture(LEAVES_FROM, index)
        x, y, w, h = (round(value) for value in true)
        image[RETURNS_TO[1] : RETURNS_TO[1] + h, RETURNS_TO[0] : RETURNS_TO[0] + w] = image[y : y + h, x : x + w, ::-1]
        images.append(image)
    tracker.add("sign", images[0], true)
    for image in images[1 : settled + 1]:
        assert tracker.track(image)["sign"].state is State.NORMAL
    position, _ = position_and_size(other)
    tracker.set_target("sign", dataclasses.replace(tracker.target("sign"), position=position))
    return [tracker.track(image)["sign"] for image in images[settled + 1 :]], true, other


def test_a_tracker_that_something_strange_has_taken_along_returns_to_the_target():
    results, true, other = taken_along()
    on_other = [result for result in results if intersection_over_union(result.box, other) > 0.3]
    assert on_other
    assert not [result for result in on_other if result.state in (State.NORMAL, State.HARD_NEGATIVE)]
    assert intersection_over_union(results[-1].box, true) > 0.5
    assert results[-1].state is State.NORMAL


def test_where_looks_do_not_count_it_stays_with_what_has_taken_it_along():
    results, _, other = taken_along(reacquire_looks=0.0)
    assert intersection_over_union(results[-1].box, other) > 0.5
    assert results[-1].found


def test_while_it_is_gone_no_image_says_that_it_is_there(found_again):
    assert {result.state for result in found_again[10:18]} <= {State.NOT_FOUND, State.UNCERTAIN}
    last_seen = found_again[7].box
    not_found = [result.box for result in found_again[12:18] if result.state is State.NOT_FOUND]
    assert not_found
    assert all(intersection_over_union(box, last_seen) > 0.5 for box in not_found)


def test_without_a_budget_it_stays_lost():
    """The returning target is outside the search area in which it was lost."""
    last = gone_and_back(compact_tracker(reacquire_budget=0))[-1]
    assert intersection_over_union(last.box, true_box(RETURNS_TO)) == 0.0


def test_nothing_is_learned_from_the_loss_until_it_is_found():
    tracker = compact_tracker(reacquire_budget=3, train_skipping=1)
    tracker.add("sign", picture(LEAVES_FROM, 0), true_box(LEAVES_FROM))
    for index in range(8):
        tracker.track(picture(LEAVES_FROM, 1 + index))
    learned, changed = tracker.filters("sign").clone(), []
    for index, place in enumerate([None] * 10 + [RETURNS_TO] * 14):
        state = tracker.track(picture(place, 9 + index))["sign"].state
        now = tracker.filters("sign")
        changed.append((state in (State.NORMAL, State.HARD_NEGATIVE), not bool((now == learned).all())))
        learned = now.clone()
    assert all(found for found, is_changed in changed if is_changed)
    assert any(is_changed for _, is_changed in changed)


def test_with_everything_off_it_is_a_multi_tracker():
    trackers = [
        tracker(tiny_network(), tiny_config(train_skipping=2), 3) for tracker in (MultiTracker, LongTermTracker)
    ]
    for tracker in trackers:
        for name, box in OTHER_BOXES.items():
            tracker.add(name, FRAMES[0], box)
    for frame in FRAMES[1:6]:
        plain, long_term = (tracker.track(frame) for tracker in trackers)
        assert plain == long_term


def test_searching_a_place_gives_the_score_that_tracking_gives_there():
    tracker = tiny_long_term(reacquire_budget=4)
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    areas = []
    for index, name in enumerate(OTHER_BOXES):
        state = tracker.target(name)
        areas.append(AreaToSearch(index, state.position, state.size, state.scale))
    peaks = tracker.search(FRAMES[1], [*areas, areas[0]])
    results = tracker.locate(FRAMES[1])
    for name, peak in zip([*OTHER_BOXES, "a"], peaks, strict=True):
        scores = tracker.score_map(name)
        assert peak.confidence == pytest.approx(results[name].confidence, abs=1e-4)
        assert peak.second <= peak.confidence
        area = results[name].search_area
        row = int(np.unravel_index(scores.argmax(), scores.shape)[0])
        assert peak.position[0] == pytest.approx(area.y + area.h * (row + 0.5) / len(scores), abs=area.h / len(scores))


def test_searching_changes_nothing():
    searched, plain = tiny_long_term(reacquire_budget=2), tiny_long_term(reacquire_budget=2)
    for tracker in (searched, plain):
        tracker.add("a", FRAMES[0], BOXES[0])
    state = searched.target("a")
    searched.search(FRAMES[3], [AreaToSearch(0, state.position, state.size, state.scale)] * 2)
    assert searched.search(FRAMES[3], []) == []
    for frame in FRAMES[1:4]:
        assert searched.track(frame) == plain.track(frame)


def test_of_two_targets_on_one_object_one_is_uncertain_goes_back_and_learns_nothing():
    tracker = tiny_long_term(exclusivity_overlap=0.5, train_skipping=1)
    tracker.add("a", FRAMES[0], BOXES[0])
    tracker.add("b", FRAMES[0], BOXES[0])
    before = {name: (tracker.filters(name).clone(), tracker.target(name).position) for name in ("a", "b")}
    results = tracker.track(FRAMES[1])
    uncertain = [name for name in ("a", "b") if results[name].state is State.UNCERTAIN]
    assert len(uncertain) == 1
    for name in ("a", "b"):
        filters, position = before[name]
        assert bool((tracker.filters(name) == filters).all()) == (name in uncertain)
        assert (tracker.target(name).position == position).all() == (name in uncertain)
    assert results[uncertain[0]].box == pytest.approx(BOXES[0], abs=1e-3)


def test_a_target_that_is_lost_to_another_ones_object_is_not_said_to_be_found():
    tracker = tiny_long_term(exclusivity_overlap=0.5, reacquire_budget=1, reacquire_after=1)
    tracker.add("a", FRAMES[0], BOXES[0])
    tracker.add("b", FRAMES[0], BOXES[0])
    states = {name: result.state for name, result in tracker.locate(FRAMES[1]).items()}
    (loser,) = [name for name, state in states.items() if state is State.NOT_FOUND]
    assert tracker.phase(loser) is Phase.LOST


def test_targets_move_with_the_camera():
    image = np.kron(np.random.default_rng(0).integers(0, 256, (30, 60, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    first, second = image[:, :360], image[:, 60:420]  # the camera turns: everything moves 60 pixels to the left
    areas = {}
    for mode in ("off", "on", "auto"):
        tracker = tiny_long_term(camera_motion=mode, reacquire_budget=1)
        tracker.add("a", first, (200, 100, 24, 24))
        tracker.locate(first)
        tracker.learn([])
        before = tracker.target("a").position.copy()
        area = tracker.locate(second)["a"].search_area
        areas[mode] = area.x + area.w / 2 - before[1]
    assert areas["on"] == areas["auto"] == pytest.approx(areas["off"] - 60, abs=2.0)


@pytest.mark.parametrize("reacquire_budget", [0, 1])
def test_the_place_of_a_target_that_is_not_found_moves_in_every_image(reacquire_budget):
    wide = RenderedScene(640, 240).frame(0)
    images = [np.ascontiguousarray(wide[:, 4 * turn : 4 * turn + 360]) for turn in range(20)]
    tracker = tiny_long_term(camera_motion="auto", reacquire_budget=reacquire_budget)
    tracker.add("a", images[0], (150, 100, 60, 60))
    before = float(tracker.target("a").position[1])
    tracker.config = dataclasses.replace(tracker.config, target_not_found_threshold=2.0)
    for image in images[:1] + images:
        tracker.locate(image)
    assert tracker.target("a").position[1] == pytest.approx(before - 4 * 19, abs=6)


def test_refused_images_and_names_change_nothing():
    tracker = tiny_long_term(camera_motion="on", reacquire_budget=1, exclusivity_overlap=0.5)
    tracker.add("a", FRAMES[0], BOXES[0])
    state = dataclasses.replace(tracker.target("a"))
    with pytest.raises(ValueError, match="uint8"):
        tracker.locate(FRAMES[1].astype(np.float32))
    with pytest.raises(ValueError, match="no target 'x'"):
        tracker.locate(FRAMES[1], ["a", "x"])
    assert (tracker.target("a").position == state.position).all()
    assert tracker.track(FRAMES[1])["a"].found


def test_what_was_removed_or_reset_is_forgotten():
    tracker = tiny_long_term(camera_motion="on", reacquire_budget=1)
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    tracker.track(FRAMES[1])
    tracker.remove("a")
    assert set(tracker.track(FRAMES[2])) == {"b", "c"}
    tracker.reset()
    assert tracker.track(FRAMES[3]) == {}
    tracker.add("b", FRAMES[3], BOXES[3])
    assert tracker.phase("b") is Phase.SEEN
    assert tracker.track(FRAMES[4])["b"].found


def test_a_detectors_box_is_asked_about_in_its_image_and_nothing_changes():
    asked, plain = tiny_long_term(), tiny_long_term()
    for tracker in (asked, plain):
        tracker.detector_helps = True
        for name, box in OTHER_BOXES.items():
            tracker.add(name, FRAMES[0], box)
        tracker.track(FRAMES[1])
    boxes = [(name, Box(*box)) for name, box in OTHER_BOXES.items()]
    answers = asked.likeness(FRAMES[0], [*boxes, ("a", Box(0, 0, 2, 2))])
    assert len(answers) == 4
    assert answers[-1] == 0.0, "of a size that it cannot have"
    assert max(answers) > 0
    assert asked.likeness(FRAMES[0], []) == []
    assert asked.track(FRAMES[2]) == plain.track(FRAMES[2])


def test_with_a_detectors_help_a_target_can_be_lost_without_a_search_and_is_put_where_it_says():
    tracker = tiny_long_term(reacquire_after=2)
    tracker.add("a", FRAMES[0], BOXES[0])
    tracker.track(FRAMES[1])
    tracker.config = tiny_config(reacquire_after=2, target_not_found_threshold=2.0)
    for helps, phase in ((False, Phase.SEEN), (True, Phase.LOST)):
        tracker.detector_helps = helps
        for index in (2, 3):
            tracker.track(FRAMES[index])
        assert tracker.phase("a") is phase
    x, y, w, h = BOXES[0]
    tracker.put_on_probation("a", Box(x + 20, y + 10, 1.5 * w, 1.5 * h))
    assert tracker.phase("a") is Phase.PROBATION
    state = tracker.target("a")
    assert state.position == pytest.approx([y + 10 + (1.5 * h - 1) / 2, x + 20 + (1.5 * w - 1) / 2], abs=0.01)
    assert state.size == pytest.approx([1.5 * h, 1.5 * w], rel=0.01)
    tracker.locate(FRAMES[4])
    assert tracker.phase("a") is Phase.LOST, "it is not seen there"


def test_a_failed_rescue_in_images_of_the_past_leaves_the_place_of_the_loss_where_the_camera_has_moved_it():
    wide = RenderedScene(640, 240).frame(0)
    # The camera turns: everything moves 6 pixels to the left from image to image.
    images = [np.ascontiguousarray(wide[:, 6 * turn : 6 * turn + 360]) for turn in range(14)]
    tracker = tiny_long_term(camera_motion="on", reacquire_after=1)
    tracker.detector_helps = True
    tracker.add("a", images[0], (150, 100, 30, 24))
    tracker.config = tiny_config(camera_motion="on", reacquire_after=1, target_not_found_threshold=2.0)
    for image in images[1:10]:
        tracker.locate(image)
    assert tracker.phase("a") is Phase.LOST
    lost_at = float(tracker.target("a").position[1])
    assert lost_at == pytest.approx(164.5 - 8 * 6, abs=3)  # the first image has no motion
    tracker.put_on_probation("a", Box(100, 60, 30, 24), in_past=True)
    for image in images[5:10]:
        tracker.locate(image)
    assert tracker.target("a").position[1] == pytest.approx(lost_at, abs=0.5)
    tracker.caught_up("a")
    for image in images[10:]:
        tracker.locate(image)
    assert tracker.target("a").position[1] == pytest.approx(lost_at - 4 * 6, abs=3)
