"""What a CUDA graph needs of a frame, checked without a GPU: the same calls and shapes every time, nothing that waits
for the host, buffers that stay where they are."""

from __future__ import annotations

import gc

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from trdimp_ros.testing.tiny import small_scene, tiny_config, tiny_network
from trdimp_ros.tracking import MultiTracker, State, Tracker, device_steps, preset
from trdimp_ros.tracking.crop_uploads import PixelUpload
from trdimp_ros.tracking.device_steps import DeviceSteps
from trdimp_ros.tracking.host_inputs import UpdateInputs
from trdimp_ros.tracking.template_memory import TemplateStep

FRAMES, BOXES = small_scene()


@pytest.fixture(autouse=True)
def crops_are_interpolated_as_on_a_gpu(monkeypatch):
    def upload(crops: int, side: int, device: torch.device, quick: bool) -> PixelUpload:
        return PixelUpload(crops, side, device)

    monkeypatch.setattr(device_steps, "crop_upload", upload)


WAITS_FOR_THE_HOST = {
    "aten._local_scalar_dense",
    "aten.item",
    "aten.is_nonzero",
    "aten.nonzero",
    "aten.masked_select",
    "aten.unique",
    "aten.lift_fresh",  # torch.tensor(...): a copy from the host
}


class CallRecorder(TorchDispatchMode):
    """Collects every operation with the shapes of its results."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        results = result if isinstance(result, (tuple, list)) else [result]
        shapes = [(tuple(one.shape), one.dtype) for one in results if isinstance(one, torch.Tensor)]
        self.calls.append((str(function).rpartition(".")[0], *shapes))
        return result


def recorded(step) -> list[tuple]:
    with torch.inference_mode(), CallRecorder() as recorder:
        step()
    return recorder.calls


def start(**changes) -> Tracker:
    tracker = Tracker(tiny_network(), tiny_config(**changes))
    tracker.initialize(FRAMES[0], BOXES[0])
    tracker.track(FRAMES[1])  # makes what is made once
    return tracker


def steps_of(tracker: Tracker | MultiTracker) -> DeviceSteps:
    return (tracker._targets if isinstance(tracker, Tracker) else tracker)._steps


def locate_calls(tracker: Tracker | MultiTracker, frame) -> list[tuple]:
    steps, calls = steps_of(tracker), []
    original = steps.locate
    steps.locate = lambda *given: calls.append(recorded(lambda: calls.append(original(*given)))) or calls.pop(0)
    try:
        tracker.locate(frame)
    finally:
        steps.locate = original
    return calls[0]


VARIANTS = {
    "boxes": {},
    "scales": {"use_iou_net": False, "scale_factors": (1.0, 1.04, 0.96)},
    "window": {"window_output": True, "perform_hn_without_windowing": True},
    "default space": {"box_refinement_space": "default"},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS.keys())
def test_locating_makes_the_same_calls_wherever_the_target_is(changes):
    tracker = start(**changes)
    seen = []
    for x, y, size in ((60, 40, 30), (0, 0, 12), (150, 110, 70), (-20, 100, 50)):
        tracker.target.position[:] = y, x
        tracker.target.size[:] = size
        tracker.target.scale = type(tracker.target.scale)(size / 30)
        seen.append(locate_calls(tracker, FRAMES[2]))
    assert len(seen[0]) > 100
    assert all(calls == seen[0] for calls in seen[1:])


def test_locating_makes_the_same_calls_in_every_state():
    tracker = start()
    usual = locate_calls(tracker, FRAMES[2])
    states = set()
    for changes in ({"target_not_found_threshold": 2.0}, {"uncertain_threshold": 2.0}, {"hard_sample_threshold": 2.0}):
        tracker.config = tiny_config(**changes)
        assert locate_calls(tracker, FRAMES[2]) == usual
        states.add(tracker._targets._tracked[0].located.decision.state)
    assert states == {State.NOT_FOUND, State.UNCERTAIN, State.HARD_NEGATIVE}


TEMPLATE_STEPS = [TemplateStep("attend", 0), TemplateStep("encode", 0), TemplateStep("retire", 0)]


def test_nothing_waits_for_the_host():
    tracker = start()
    steps = steps_of(tracker)
    calls = locate_calls(tracker, FRAMES[2])
    calls += recorded(lambda: steps.learn_sample(0, 2))
    calls += recorded(lambda: steps.learn_template(0))
    calls += [call for step in TEMPLATE_STEPS for call in recorded(lambda step=step: steps.run_template_step(0, step))]
    assert not WAITS_FOR_THE_HOST & {call[0] for call in calls}


def test_learning_makes_the_same_calls_in_any_slot():
    tracker = start()
    steps = steps_of(tracker)
    seen = []
    for slot in (0, 7, 16):
        steps.updates.fill(
            UpdateInputs(box=[30, 30, 20, 20], sample_slot=[slot], sample_weights=torch.rand(50), template_slot=[slot]),
            target=0,
        )
        sample = recorded(lambda: steps.learn_sample(0, 1))
        learned = [recorded(lambda step=step: steps.run_template_step(0, step)) for step in TEMPLATE_STEPS]
        seen.append((sample, recorded(lambda: steps.learn_template(0)), learned))
    assert seen[0] == seen[1] == seen[2]


def test_buffers_stay_where_they_are_even_for_a_new_target():
    tracker = start(train_skipping=2, transformer_skipping=1)
    steps = steps_of(tracker)

    def places() -> list[int]:
        memory, templates = steps.memories(0)
        encoded = templates.encoded
        uploads = steps.frames.tensors, steps.updates.tensors, steps.crops._inputs.tensors
        tensors = [*(tensor for upload in uploads for tensor in vars(upload).values()), steps.crops.pixels]
        tensors += [steps.filters, encoded.keys, encoded.values, memory.features, memory.sample_weights]
        tensors += [*templates._buffers, templates._own, templates._newest]
        return [tensor.data_ptr() for tensor in [*tensors, *memory.maps, steps.box_stage._scorer._modulation]]

    before = places()
    for frame in FRAMES[2:]:
        tracker.track(frame)
    tracker.initialize(FRAMES[0], BOXES[0])
    tracker.track(FRAMES[1])
    assert places() == before


def test_a_frame_leaves_nothing_allocated():
    """What is made in a frame, and is not a buffer, is gone or takes the place of the last frame's."""
    tracker = start(train_skipping=2, transformer_skipping=2, transformer_memory_size=16, sample_memory_size=16)

    def alive() -> tuple[int, int]:
        gc.collect()
        storages = {
            one.untyped_storage().data_ptr(): one.untyped_storage().nbytes()
            for one in gc.get_objects()
            if issubclass(type(one), torch.Tensor)  # isinstance would wake lazy modules
        }
        return len(storages), sum(storages.values())

    for frame in FRAMES[2:6]:
        tracker.track(frame)
    before = alive()
    for frame in FRAMES[6:]:
        tracker.track(frame)
        assert alive() == before


def test_several_targets_make_the_same_calls_wherever_they_are():
    tracker = MultiTracker(tiny_network(), tiny_config(), max_targets=3)
    for number in range(3):
        tracker.add(number, FRAMES[0], BOXES[0])
    tracker.track(FRAMES[1])
    usual = locate_calls(tracker, FRAMES[2])
    tracker.target(1).position[:] = 0, 150
    assert locate_calls(tracker, FRAMES[3]) == usual
    assert not WAITS_FOR_THE_HOST & {call[0] for call in usual}


def test_every_preset_is_ready():
    """The presets' own sizes are too slow for a test: they are checked at a small one."""
    for name in ("compact", "trdimp", "trsiam", "trdimp_vot", "trdimp_lasot", "trsiam_lasot"):
        config = tiny_config(
            **{
                key: getattr(preset(name), key)
                for key in ("window_output", "perform_hn_without_windowing", "transformer_skipping", "net_opt_iter")
            }
        )
        tracker = Tracker(tiny_network(), config)
        tracker.initialize(FRAMES[0], BOXES[0])
        tracker.track(FRAMES[1])
        assert locate_calls(tracker, FRAMES[2]) == locate_calls(tracker, FRAMES[3])
