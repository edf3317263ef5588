"""The template memory: what leaves, and that its incremental update equals encoding anew."""

from __future__ import annotations

import pytest
import torch

from trdimp_ros.models.transformer import Transformer
from trdimp_ros.tracking import template_memory
from trdimp_ros.tracking.template_memory import TemplateMemory, encoded_memory

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


def test_a_frame_can_be_retired_bit_by_bit_without_changing_what_is_in_use(monkeypatch):
    monkeypatch.setattr(template_memory, "CACHE_BYTES", 4 * TOKENS**2)  # a part is one frame
    at_once, bit_by_bit = make_memory(4), make_memory(4)
    for memory in (at_once, bit_by_bit):
        memory.reset(*random_frame(0, count=3))
        assert memory.parts_to_retire() == []  # there is a free slot
        memory.insert(*random_frame(1))
    in_use = bit_by_bit.encoded.values.clone()
    slot, retired = torch.tensor([bit_by_bit.next_slot]), []
    for _ in range(6):
        for part in bit_by_bit.parts_to_retire(share=0.4):
            bit_by_bit.retire(slot, part)
            retired.append(part)
    assert retired == [0, 1, 2, 3]
    assert torch.equal(bit_by_bit.encoded.values, in_use)
    for memory in (at_once, bit_by_bit):
        memory.insert(*random_frame(2))
    torch.testing.assert_close(bit_by_bit.encoded.values, at_once.encoded.values, atol=1e-6, rtol=1e-6)
    assert bit_by_bit.parts_to_retire() == [0, 1, 2, 3]
