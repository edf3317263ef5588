"""The tracker's behaviour: what it refuses, what it bears, what it keeps."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network, tiny_tracker
from trdimp_ros.tracking import State, Tracker, multi_tracker
from trdimp_ros.tracking.randomness import RandomSource


@pytest.fixture
def started() -> Tracker:
    frames, boxes = small_scene()
    tracker = tiny_tracker()
    tracker.initialize(frames[0], boxes[0])
    tracker.track(frames[1])
    return tracker


def snapshot(tracker: Tracker) -> list:
    memory, templates = tracker.filter_memory, tracker.template_memory
    return [
        copy.deepcopy(tracker.target),
        tracker.filters.clone(),
        memory.features.clone(),
        memory.weights.values.copy(),
        templates.encoded.values.clone(),
        len(templates),
    ]


def assert_same(before: list, after: list) -> None:
    assert np.array_equal(before[0].position, after[0].position)
    assert before[0].frame_number == after[0].frame_number
    for one, other in zip(before[1:], after[1:], strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))


GOOD = np.zeros((120, 160, 3), np.uint8)

BAD_IMAGES = {
    "not an array": ([[1]], "numpy array"),
    "float": (GOOD.astype(np.float32), "float32"),
    "grey": (GOOD[:, :, 0], r"\(120, 160\)"),
    "four channels": (np.zeros((4, 4, 4), np.uint8), r"\(4, 4, 4\)"),
    "no rows": (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
}
BAD_BOXES = {
    "nan": ((math.nan, 1, 2, 2), "finite"),
    "infinite": ((1, 1, math.inf, 2), "finite"),
    "zero width": ((1, 1, 0, 2), "w=0"),
    "no pixel at all": ((50, 50, 1e-30, 1e-30), "at least 0.1 pixels wide and high"),
    "thinner than any target": ((50, 50, 20, 0.09), "at least 0.1 pixels"),
    "negative height": ((1, 1, 5, -2), "h=-2"),
    "right of the image": ((160, 1, 5, 5), "160x120"),
    "above the image": ((1, -9, 5, 5), "160x120"),
    "three numbers": ((1, 2, 3), "four numbers"),
    "text": (("a", 2, 3, 4), "four numbers"),
    "absurdly large": ((0, 0, 1e9, 5), "at most 10 times"),
}


@pytest.mark.parametrize(("image", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_bad_images_are_refused_and_change_nothing(started, image, message):
    before = snapshot(started)
    with pytest.raises(ValueError, match=message):
        started.track(image)
    with pytest.raises(ValueError, match=message):
        started.initialize(image, (1, 1, 9, 9))
    assert_same(before, snapshot(started))


@pytest.mark.parametrize(("box", "message"), BAD_BOXES.values(), ids=BAD_BOXES.keys())
def test_bad_boxes_are_refused_and_change_nothing(started, box, message):
    before = snapshot(started)
    with pytest.raises(ValueError, match=message):
        started.initialize(GOOD, box)
    assert_same(before, snapshot(started))


@pytest.mark.parametrize("step", ["locate", "track"])
def test_tracking_needs_a_target(step):
    with pytest.raises(ValueError, match="initialize"):
        getattr(tiny_tracker(), step)(GOOD)
    with pytest.raises(ValueError, match="initialize"):
        tiny_tracker().learn()


def test_reset_forgets_the_target(started):
    started.reset()
    with pytest.raises(ValueError, match="initialize"):
        started.track(GOOD)


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((120, 160), (20, 30, 1, 1)),
        ((120, 160), (0.2, 0.1, 0.5, 0.5)),
        ((120, 160), (159.9, 119.9, 0.1, 0.1)),
        ((120, 160), (20, 30, 0.1, 1200)),
        ((120, 160), (-100, -80, 400, 300)),
        ((2, 2), (0, 0, 2, 2)),
        ((1, 1), (0, 0, 1, 1)),
        ((3, 900), (10, 0, 20, 3)),
        ((4320, 7680), (3000, 2000, 400, 300)),
        ((40, 40), (0, 0, 400, 400)),
    ],
    ids=[
        "one pixel",
        "less than a pixel",
        "smallest sides",
        "narrowest and highest",
        "larger than the image",
        "2x2",
        "1x1",
        "a line",
        "8K",
        "ten times the image",
    ],
)
@pytest.mark.parametrize("mode", ["replicate", "inside", "inside_major"])
def test_extreme_sizes_work(shape, box, mode):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    tracker = tiny_tracker(border_mode=mode)
    tracker.initialize(image, box)
    for _ in range(3):
        result = tracker.track(image)
    assert all(math.isfinite(value) for value in (*result.box, result.confidence))
    assert result.box.w > 0
    assert result.box.h > 0


def test_the_image_size_may_change(started):
    frames, _ = small_scene()
    for image in (frames[2][:90], frames[3][:, :100], np.tile(frames[4], (2, 2, 1)), frames[5]):
        assert math.isfinite(started.track(image).confidence)


def test_a_read_only_or_strided_image_works(started):
    frames, _ = small_scene()
    view = np.tile(frames[2], (1, 2, 1))[:, ::2]
    view.flags.writeable = False
    started.track(view)
    started.track(frames[3][::-1])


def test_locate_and_learn_are_track():
    frames, boxes = small_scene()
    whole, parts = tiny_tracker(), tiny_tracker()
    for tracker in (whole, parts):
        tracker.initialize(frames[0], boxes[0])
    for frame in frames[1:]:
        expected = whole.track(frame)
        located = parts.locate(frame)
        parts.learn()
        assert located == expected
    assert_same(snapshot(whole), snapshot(parts))


def test_learning_twice_from_one_frame_does_nothing(started):
    before = snapshot(started)
    started.learn()
    assert_same(before, snapshot(started))


def test_a_seed_repeats_a_run_and_another_one_differs():
    frames, boxes = small_scene()
    runs = []
    for seed in (0, 0, 1):
        tracker = Tracker(tiny_network(), tiny_config(), seed=seed)
        tracker.initialize(frames[0], boxes[0])
        runs.append([tracker.track(frame).box for frame in frames[1:]])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_state_stays_in_the_same_memory():
    """What a captured graph would have to rely on."""
    frames, boxes = small_scene()
    tracker = tiny_tracker(transformer_skipping=1, train_skipping=1, transformer_memory_size=18, sample_memory_size=18)
    tracker.initialize(frames[0], boxes[0])
    memory, templates = tracker.filter_memory, tracker.template_memory
    tensors = [
        tracker.filters,
        memory.features,
        *memory.maps,
        memory.sample_weights,
        templates.encoded.keys,
        templates.encoded.values,
    ]
    addresses = [(tensor.data_ptr(), tensor.shape) for tensor in tensors]
    for frame in frames[1:]:
        tracker.track(frame)
    assert len(templates) == 18
    now = [
        tracker.filters,
        memory.features,
        *memory.maps,
        memory.sample_weights,
        templates.encoded.keys,
        templates.encoded.values,
    ]
    assert [(tensor.data_ptr(), tensor.shape) for tensor in now] == addresses


def test_a_threshold_changes_the_next_frame(started):
    frames, _ = small_scene()
    assert started.track(frames[2]).state != State.NOT_FOUND
    position = started.target.position.copy()
    started.config = replace(started.config, target_not_found_threshold=2.0)
    result = started.track(frames[3])
    assert result.state == State.NOT_FOUND
    assert not result.found
    assert np.array_equal(started.target.position, position)
    started.config = replace(started.config, target_not_found_threshold=-1.0)
    assert started.track(frames[4]).found


def test_a_lost_frame_teaches_nothing(started):
    frames, _ = small_scene()
    started.config = replace(started.config, target_not_found_threshold=2.0)
    before = snapshot(started)
    started.track(frames[2])
    after = snapshot(started)
    for one, other in zip(before[1:], after[1:], strict=True):
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other))


def test_scores_that_are_no_numbers_mean_not_found(started):
    frames, _ = small_scene()
    position, filters = started.target.position.copy(), started.filters.clone()
    with torch.inference_mode():
        started.filters.fill_(math.nan)
    result = started.track(frames[2])
    assert result.state == State.NOT_FOUND
    assert np.array_equal(started.target.position, position)
    with torch.inference_mode():
        started.filters.copy_(filters)
    assert started.track(frames[3]).found


def test_a_fixed_parameter_cannot_change(started):
    with pytest.raises(ValueError, match="image_sample_size"):
        started.config = replace(started.config, image_sample_size=128)
    assert started.config.image_sample_size == 96


def test_score_map_is_given_on_request(started):
    frames, _ = small_scene()
    result = started.track(frames[2])
    scores = started.score_map()
    assert scores.shape == (7, 7)
    assert scores.max() == pytest.approx(result.confidence)
    with pytest.raises(ValueError, match="score map"):
        tiny_tracker().score_map()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_near_float32(dtype):
    frames, boxes = small_scene()
    full, half = Tracker(tiny_network(), tiny_config()), Tracker(tiny_network(), tiny_config(), dtype=dtype)
    for tracker in (full, half):
        tracker.initialize(frames[0], boxes[0])
    assert half.track(frames[1]).confidence == pytest.approx(full.track(frames[1]).confidence, abs=0.05)


@pytest.mark.parametrize(
    "changes", [{"use_iou_net": False}, {"use_iou_net": False, "scale_factors": (1.0, 1.05, 0.95)}]
)
def test_tracking_without_iou_net(changes):
    frames, boxes = small_scene()
    tracker = tiny_tracker(**changes)
    tracker.initialize(frames[0], boxes[0])
    result = tracker.track(frames[1])
    assert result.box.w / result.box.h == pytest.approx(boxes[0][2] / boxes[0][3], rel=1e-4)


def test_the_network_given_is_not_changed():
    network = copy.deepcopy(tiny_network())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tracker = Tracker(network, tiny_config(), dtype=torch.bfloat16)
    tracker.initialize(*[values[0] for values in small_scene()])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "dtype", "spread"),
    [({}, torch.float32, False), ({"spread_learning": True}, torch.float32, True), ({}, torch.bfloat16, True)],
    ids=["as the original", "spread", "half precision"],
)
def test_learning_can_be_spread(changes, dtype, spread):
    """Frames 3, 5, 7, ... join the template memory, 5, 9 are due for the filter."""
    frames, boxes = small_scene()
    config = tiny_config(train_skipping=4, transformer_skipping=2, hard_negative_threshold=100.0, **changes)
    tracker = Tracker(tiny_network(), config, dtype=dtype)
    tracker.initialize(frames[0], boxes[0])
    work: dict[int, list[str]] = {}
    for frame in frames[1:11]:
        stages: list[str] = []
        tracker.stage = stages.append
        tracker.track(frame)
        work[tracker.target.frame_number] = [name for name in stages if name in ("filter update", "template memory")]
    assert [number for number, stages in work.items() if "template memory" in stages] == [3, 5, 7, 9, 11]
    updated = [number for number, stages in work.items() if "filter update" in stages]
    assert updated == ([6, 10] if spread else [5, 9])


def test_a_filter_step_is_postponed_once_at_most():
    """Where every frame joins the template memory, there is no better frame to wait for."""
    frames, boxes = small_scene()
    tracker = tiny_tracker(train_skipping=2, transformer_skipping=1, spread_learning=True)
    tracker.initialize(frames[0], boxes[0])
    stages: list[str] = []
    tracker.stage = stages.append
    for frame in frames[1:10]:
        tracker.track(frame)
    assert stages.count("filter update") == 4


@pytest.mark.parametrize(("threshold", "restored"), [(0.0, False), (0.5, True)])
def test_a_lost_target_takes_back_the_size_it_had_when_seen_clearly(threshold, restored):
    """Seen clearly, then shrunk in a frame that is not clear, then lost."""
    frames, boxes = small_scene()
    tracker = tiny_tracker(use_iou_net=False)
    tracker.initialize(frames[0], boxes[0])
    tracker.config = replace(tracker.config, clear_view_threshold=threshold)
    tracker.target.clear_size, tracker.target.clear_scale = np.array([30, 40], np.float32), np.float32(1.5)
    tracker.config = replace(tracker.config, target_not_found_threshold=2.0)
    tracker.track(frames[1])
    assert np.array_equal(tracker.target.size, [30, 40]) == restored
    assert (tracker.target.scale == np.float32(1.5)) == restored


def test_a_clear_view_is_remembered(started):
    started.config = replace(started.config, clear_view_threshold=2.0)
    before = started.target.clear_size.copy()
    started.track(small_scene()[0][2])
    assert np.array_equal(started.target.clear_size, before)
    started.config = replace(started.config, clear_view_threshold=1e-6)
    started.track(small_scene()[0][3])
    assert np.array_equal(started.target.clear_size, started.target.size)


@pytest.mark.parametrize("step", ["look_at_first_frame", "learn_target", "classification_feature", "decode", "filter"])
def test_a_target_stays_when_learning_a_new_one_fails(started, monkeypatch, step):
    def fail(*given, **named):
        raise RuntimeError("out of memory")

    network = started._targets._network
    where = {
        "classification_feature": (network.engine, "classification_feature"),
        "decode": (network.transformer, "decode"),
        "filter": (network.filter_optimizer, "forward"),
    }.get(step, (multi_tracker, step))
    before, (frames, boxes) = snapshot(started), small_scene()
    with monkeypatch.context() as broken:
        broken.setattr(*where, fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            started.initialize(frames[2], boxes[5])
    assert_same(before, snapshot(started))
    assert started.track(frames[2]).found


def test_what_learning_needs_may_change_while_tracking(started):
    """Template updates on, off and on again; the memory keeps its size and what it holds."""
    frames, boxes = small_scene()
    for number, skipping in enumerate((0, 1, 0, 3, 1), start=2):
        started.config = replace(started.config, transformer_skipping=skipping)
        assert math.isfinite(started.track(frames[number]).confidence)
    assert len(started.template_memory) == started.config.initial_samples + 2
    started.initialize(frames[0], boxes[0])
    assert len(started.template_memory) == started.config.initial_samples
    assert math.isfinite(started.track(frames[1]).confidence)


def test_random_numbers_may_be_given_or_seeded():
    frames, boxes = small_scene()
    runs = []
    for random in (None, 0, RandomSource(0), 1):
        tracker = tiny_tracker()
        tracker.initialize(frames[0], boxes[0], random)
        runs.append([tracker.track(frame).box for frame in frames[1:4]])
    assert runs[0] == runs[1] == runs[2] != runs[3]
    tracker.initialize(frames[0], boxes[0])
    assert [tracker.track(frame).box for frame in frames[1:4]] != runs[3], "they go on where nothing is given"
    tracker.initialize(frames[0], boxes[0], 1)
    assert [tracker.track(frame).box for frame in frames[1:4]] == runs[3]
