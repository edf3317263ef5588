"""Several targets: each is tracked as if it were alone, whatever happens to the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trdimp_ros.models.feature_engine import TorchEngine
from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import LongTermTracker, MultiTracker, Tracker, template_memory
from trdimp_ros.tracking.randomness import RandomSource

FRAMES, BOXES = small_scene()
SPREAD = {
    "spread_learning": True,
    "transformer_skipping": 5,
    "transformer_memory_size": 16,
    "exclusivity_overlap": 0.5,  # which the long-term tracker alone looks at
}
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
    tracker.add("given a seed", FRAMES[0], BOXES[0], 5)
    results = tracker.track(FRAMES[1])
    assert results["given"].box == pytest.approx(results["given a seed"].box)
    assert not np.array_equal(results["seeded"].box, results["given"].box)


def test_score_maps_belong_to_their_targets():
    tracker = several()
    for name in ("a", "b"):
        tracker.add(name, FRAMES[0], OTHER_BOXES[name])
    assert tracker.score_map("a") is None
    results = tracker.track(FRAMES[1])
    for name in ("a", "b"):
        assert tracker.score_map(name).max() == pytest.approx(results[name].confidence)


def test_template_updates_may_be_switched_on_before_a_second_target_comes():
    """The rooms of the targets are of one size, whatever was set when each of them was taken."""
    changes = {"transformer_skipping": 0}
    tracker = several(**changes)
    tracker.add("a", FRAMES[0], OTHER_BOXES["a"])
    results = [tracker.track(frame) for frame in FRAMES[1:3]]
    tracker.config = tiny_config(transformer_skipping=1)
    tracker.add("b", FRAMES[2], OTHER_BOXES["b"])
    results += [tracker.track(frame) for frame in FRAMES[3:5]]
    assert len(tracker.memories("a").templates) == tracker.config.initial_samples + 2
    tracker.config = tiny_config(**changes)
    tracker.add("c", FRAMES[4], OTHER_BOXES["c"])
    results += [tracker.track(frame) for frame in FRAMES[5:7]]
    assert set(results[-1]) == {"a", "b", "c"}
    # Free slots and the other targets change nothing.
    tracker = several(**changes)
    tracker.add("c", FRAMES[4], OTHER_BOXES["c"])
    assert_same_results([frame["c"] for frame in results[4:]], [tracker.track(frame)["c"] for frame in FRAMES[5:7]])


def test_without_template_updates_only_the_first_frame_is_attended_to():
    seen = []
    for skipping in (0, 5):
        tracker = several(transformer_skipping=skipping)
        tracker.add("a", FRAMES[0], BOXES[0])
        tracker.track(FRAMES[1])
        seen.append(tracker._steps._located[0].settings.attended_frames)
    assert seen == [tracker.config.initial_samples, tracker.config.template_frames]


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b")])
def test_targets_may_be_located_in_images_of_their_own(order):
    """One target sees every other image, as one does that catches up; all learn as if they were alone."""
    changes = {"train_skipping": 2, "transformer_skipping": 2}
    tracker = several(**changes)
    for name in order:
        tracker.add(name, FRAMES[0], OTHER_BOXES[name])
    results: dict = {name: [] for name in order}
    for number in range(1, 9):
        for names in (("a", "c"), ("b",)):
            if "b" in names and number % 2:
                continue
            for name, result in tracker.locate(FRAMES[number], names).items():
                results[name].append(result)
            assert set(names) <= set(results)
        tracker.learn(("a",))
        tracker.learn(("b", "c"))
    for name in ("a", "c"):
        assert_same_results(results[name], alone(OTHER_BOXES[name], FRAMES[1:9], **changes))
    assert_same_results(results["b"], alone(OTHER_BOXES["b"], FRAMES[2:9:2], **changes))


def test_only_the_targets_asked_for_are_computed(monkeypatch):
    tracker = several()
    for name, box in OTHER_BOXES.items():
        tracker.add(name, FRAMES[0], box)
    engine, sizes = tracker._network.engine, []
    backbone = engine.backbone
    monkeypatch.setattr(engine, "backbone", lambda images: sizes.append(len(images)) or backbone(images))
    assert set(tracker.locate(FRAMES[1], ["b"])) == {"b"}
    assert set(tracker.locate(FRAMES[1], ["c", "a"])) == {"a", "c"}
    assert set(tracker.locate(FRAMES[1], ["c", "b"])) == {"b", "c"}
    assert tracker.locate(FRAMES[1], []) == {}
    assert set(tracker.locate(FRAMES[1])) == {"a", "b", "c"}
    assert sizes == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("step", ["locate", "learn"])
def test_a_wrong_name_among_those_asked_for_changes_nothing(step):
    tracker = several(**{"train_skipping": 1})
    tracker.add("a", FRAMES[0], BOXES[0])
    tracker.locate(FRAMES[1])
    stored, frame_number = tracker.memories("a").samples.weights.stored, tracker.target("a").frame_number
    with pytest.raises(ValueError, match="no target 'x'"):
        tracker.learn(["a", "x"]) if step == "learn" else tracker.locate(FRAMES[2], ["a", "x"])
    assert tracker.memories("a").samples.weights.stored == stored
    assert tracker.target("a").frame_number == frame_number
    tracker.learn(["a"])
    assert tracker.memories("a").samples.weights.stored == stored + 1


def test_a_target_stays_when_learning_it_anew_fails(monkeypatch):
    tracker, untouched = several(), several()
    for one in (tracker, untouched):
        for name, box in OTHER_BOXES.items():
            one.add(name, FRAMES[0], box)
        one.track(FRAMES[1])

    def fail(*given):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as broken:
        broken.setattr(tracker._network.filter_optimizer, "forward", fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            tracker.add("b", FRAMES[2], OTHER_BOXES["c"])
    assert tracker.names == untouched.names
    assert tracker.track(FRAMES[2]) == untouched.track(FRAMES[2])


def test_another_engine_can_compute_the_features():
    """It gets the prepared network, and what it computes is what the tracker goes by."""
    calls: list[str] = []

    class Counting(TorchEngine):
        def backbone(self, images):
            calls.append("backbone")
            return super().backbone(images)

        def classification_feature(self, coarse):
            calls.append("classification")
            return super().classification_feature(coarse)

        def box_features(self, fine, coarse):
            calls.append("box")
            return super().box_features(fine, coarse)

    tracker = MultiTracker(tiny_network(), tiny_config(), engine=Counting)
    tracker.add("a", FRAMES[0], BOXES[0])
    views = tracker.config.initial_views
    assert calls.count("backbone") == calls.count("classification") == -(-views // 4)
    calls.clear()
    result = tracker.track(FRAMES[1])["a"]
    assert calls == ["backbone", "classification", "box"]
    assert_same_results([result], alone(BOXES[0], FRAMES[1:2]))


def entering(tracker: MultiTracker, name: str) -> list[str]:
    """What kinds of steps are left to do for the template that a target stored last."""
    memory = tracker._steps.memories(tracker.names.index(name)).templates
    return [step.kind for step in memory._all_steps()[memory._done :]]


@pytest.mark.parametrize("kind", [MultiTracker, LongTermTracker])
def test_a_template_enters_bit_by_bit_also_in_images_that_are_doubted(monkeypatch, kind):
    monkeypatch.setattr(template_memory, "CACHE_BYTES", 4 * 36**2 * 8)  # 8 frames a part, so there are two
    tracker = kind(tiny_network(), tiny_config(**SPREAD), 1)
    tracker.add("a", FRAMES[0], BOXES[0])
    memory = tracker._steps.memories(0).templates
    waiting, seen = [], []
    for number in range(1, 9):
        if number == 6:  # the one before was stored
            tracker.config = tiny_config(**SPREAD, target_not_found_threshold=2.0)
        before = memory.encoded.values.clone()
        tracker.track(FRAMES[number])
        waiting.append(entering(tracker, "a"))
        seen.append(not torch.equal(memory.encoded.values, before))
    assert tracker.target("a").frame_number == 9
    retiring = ["retire", "retire"]
    assert waiting[4:8] == [["attend", "encode", *retiring], ["encode", *retiring], retiring, retiring]
    assert seen == [False] * 6 + [True, False]


@pytest.mark.parametrize("period", [100, 2])
def test_template_memories_stay_exact_whatever_happens_while_a_template_enters(monkeypatch, period):
    """Doubted images, other targets that come and go, and parameters that change."""
    monkeypatch.setattr(template_memory, "CACHE_BYTES", 4 * 36**2 * 8)
    monkeypatch.setattr(template_memory, "EXACT_REFRESH_PERIOD", period)
    tracker = several(3, **SPREAD)
    for name in ("a", "b"):
        tracker.add(name, FRAMES[0], OTHER_BOXES[name])
    changes = {
        9: {"target_not_found_threshold": 2.0},
        12: {},
        14: {"transformer_skipping": 0},
        17: {"transformer_skipping": 2},
        23: {"transformer_skipping": 1, "spread_learning": False},
        27: {"transformer_skipping": 3, "spread_learning": True},
    }
    for number in range(1, 45):
        if number in changes:
            tracker.config = tiny_config(**(SPREAD | changes[number]))
        if number == 7:
            tracker.add("c", FRAMES[0], OTHER_BOXES["c"])
        if number == 21:
            tracker.remove("a")
        tracker.track(FRAMES[number % 12])
    assert set(tracker.names) == {"b", "c"}
    for index in range(2):
        memory = tracker._steps.memories(index).templates
        assert len(memory) == memory.capacity
        with torch.inference_mode():
            for step in memory.next_steps(retire=False):
                memory.run_step(step, torch.tensor([memory.next_slot]))
            kept = memory.encoded.values.clone(), memory.encoded.keys.clone()
            memory.refresh()
        torch.testing.assert_close(kept[0], memory.encoded.values, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(kept[1], memory.encoded.keys, atol=1e-4, rtol=1e-4)
