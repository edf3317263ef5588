"""The template memory: what leaves, and that its incremental update equals encoding anew."""

from __future__ import annotations

import pytest
import torch

from trdimp_ros.models.transformer import Transformer
from trdimp_ros.tracking import template_memory
from trdimp_ros.tracking.template_memory import TemplateMemory, TemplateStep, encoded_memory

TOKENS, CHANNELS, KEYS = 9, 16, 8


def make_memory(capacity: int, dtype: torch.dtype = torch.float32) -> TemplateMemory:
    torch.manual_seed(0)
    transformer = Transformer(CHANNELS, KEYS, scale=0.1).to(dtype)
    encoded = encoded_memory(1, capacity, TOKENS, transformer, torch.device("cpu"), dtype)
    return TemplateMemory(transformer, encoded, capacity)


def random_frame(number: int, count: int = 1, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(number)
    frames = torch.randn(count, TOKENS, CHANNELS, generator=generator).to(dtype)
    return frames, torch.rand(count, TOKENS, generator=generator)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float16, 0.02), (torch.bfloat16, 0.1)])
def test_incremental_updates_equal_encoding_anew(dtype, tolerance):
    memory = make_memory(6, dtype)
    memory.reset(*random_frame(0, 4, dtype))
    for number in range(1, 60):
        memory.insert(*random_frame(number, 1, dtype))
    incremental = memory.encoded.values.clone(), memory.encoded.keys.clone()
    memory.refresh()
    assert (incremental[0] - memory.encoded.values).abs().max() <= tolerance
    assert (incremental[1] - memory.encoded.keys).abs().max() <= tolerance


def test_a_periodic_refresh_is_exact(monkeypatch):
    monkeypatch.setattr(template_memory, "EXACT_REFRESH_PERIOD", 3)
    memory = make_memory(3)
    memory.reset(*random_frame(0, count=2))
    refreshed = []
    original = memory.refresh
    monkeypatch.setattr(memory, "refresh", lambda: (refreshed.append(True), original()))
    for number in range(1, 8):
        memory.insert(*random_frame(number))
    assert len(refreshed) == 2


def test_the_last_view_leaves_first_then_the_oldest_frame():
    memory = make_memory(4)
    views, masks = random_frame(0, count=3)
    memory.reset(views, masks)
    inserted = [random_frame(number) for number in range(1, 6)]
    expected = list(views)  # front to back
    for frame, mask in inserted:
        memory.insert(frame, mask)
        expected = [frame[0], *expected][:4]
        stored = memory.frames[0, : len(memory)]
        for wanted in expected:
            assert any(torch.equal(wanted, frame) for frame in stored)
    assert len(memory) == 4


def test_a_copy_goes_on_by_itself():
    original, copy = make_memory(4), make_memory(4)
    original.reset(*random_frame(0, count=3))
    original.insert(*random_frame(1))
    copy.copy_from(original)
    for memory in (original, copy):
        memory.insert(*random_frame(2))
        memory.insert(*random_frame(3))
    assert torch.equal(original.encoded.values, copy.encoded.values)
    original.insert(*random_frame(4))
    assert not torch.equal(original.encoded.values, copy.encoded.values)


def run_steps(memory: TemplateMemory, steps: list[TemplateStep]) -> None:
    for step in steps:
        memory.run_step(step, torch.tensor([memory.next_slot]))


def test_the_work_can_be_done_step_by_step(monkeypatch):
    """What the decoder uses changes in one step alone, and in the end it is the same."""
    monkeypatch.setattr(template_memory, "CACHE_BYTES", 4 * TOKENS**2)  # a part is one frame
    at_once, step_by_step = make_memory(4), make_memory(4)
    for memory in (at_once, step_by_step):
        memory.reset(*random_frame(0, count=3))
        assert memory.next_steps() == []  # there is a free slot
        memory.insert(*random_frame(1))
    kinds = []
    for number in range(2, 6):
        run_steps(step_by_step, step_by_step.next_steps())
        slot = torch.tensor([step_by_step.next_slot])
        step_by_step.claim_slot()
        step_by_step.store(slot, *random_frame(number))
        kinds = []
        while steps := step_by_step.next_steps(1):
            before = step_by_step.encoded.values.clone()
            run_steps(step_by_step, steps)
            changed = not torch.equal(step_by_step.encoded.values, before)
            assert changed == (steps[0].kind == "encode")
            kinds.append(steps[0].kind)
        at_once.insert(*random_frame(number))
        torch.testing.assert_close(step_by_step.encoded.values, at_once.encoded.values, atol=1e-6, rtol=1e-6)
    assert kinds == ["attend"] * 4 + ["encode"] + ["retire"] * 4


def test_no_frame_is_retired_where_none_may_be():
    memory = make_memory(3)
    memory.reset(*random_frame(0, count=3))
    assert memory.next_steps(retire=False) == []
    assert [step.kind for step in memory.next_steps()] == ["retire"]
    assert memory.next_steps(retire=False) == []


@pytest.mark.parametrize(
    ("spread", "frames", "expected"), [(False, 1, 4), (False, 5, 1), (False, 3, 2), (True, 5, 2), (True, 1, 9)]
)
def test_steps_are_shared_out_evenly(monkeypatch, spread, frames, expected):
    monkeypatch.setattr(template_memory, "CACHE_BYTES", 4 * TOKENS**2)
    assert make_memory(4).steps_a_frame(frames, spread) == expected


def test_a_copy_made_while_a_frame_enters_goes_on_with_it():
    original, copy = make_memory(3), make_memory(3)
    original.reset(*random_frame(0, count=3))
    run_steps(original, original.next_steps())
    slot = torch.tensor([original.next_slot])
    original.claim_slot()
    original.store(slot, *random_frame(1))
    run_steps(original, original.next_steps(1))
    copy.copy_from(original)
    for memory in (original, copy):
        run_steps(memory, memory.next_steps(retire=False))
    assert torch.equal(copy.encoded.values, original.encoded.values)
