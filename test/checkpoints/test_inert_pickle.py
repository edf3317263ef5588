"""Reading pickles: what torch.save writes is read as torch reads it, whatever is around it."""

from __future__ import annotations

import contextlib
import io
import tempfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.checkpoints.errors import MAX_SHOWN, CheckpointError, printable
from trdimp_ros.checkpoints.inert_globals import IGNORED, Entries
from trdimp_ros.checkpoints.inert_pickle import InertUnpickler
from trdimp_ros.checkpoints.stored_tensor import StoredTensor
from trdimp_ros.checkpoints.torch_file import read_torch_file

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Views of all kinds: transposed, with steps, with an offset."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    whole = torch.arange(4 * 4**4).to(draw(st.sampled_from(DTYPES)))
    tensor = whole[draw(st.integers(0, 100)) :][: max(1, int(torch.tensor(shape).prod())) * 2 : 2]
    if 0 in shape:
        return torch.zeros(shape, dtype=whole.dtype)
    tensor = tensor[: int(torch.tensor(shape).prod())].view(shape)
    return tensor.transpose(0, -1) if len(shape) > 1 and draw(st.booleans()) else tensor


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.binary(max_size=5).map(bytearray)
    | tensors(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(found: object, saved: object) -> bool:
    """Whether what was read is what was saved; protocol 2 has no bytes, so they are dropped there."""
    if isinstance(saved, torch.Tensor):
        return isinstance(found, StoredTensor) and found.dtype == saved.dtype and torch.equal(found.read(), saved)
    if isinstance(saved, dict):
        return isinstance(found, Entries) and same(list(found), list(saved.items()))
    if isinstance(saved, (list, tuple)):
        return type(found) is type(saved) and len(found) == len(saved) and all(map(same, found, saved))
    if isinstance(saved, bytearray) and isinstance(found, bytes):
        return found == saved
    return (isinstance(saved, (bytes, bytearray)) and found is IGNORED) or (
        type(found) is type(saved) and found == saved
    )


@settings(max_examples=150, deadline=None)
@given(saved=values, protocol=st.sampled_from([2, 3, 4, 5]), zipped=st.booleans())
def test_what_torch_saves_is_read_as_it_was(saved, protocol, zipped):
    with tempfile.TemporaryFile() as file:
        torch.save(saved, file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
        file.seek(0)
        assert same(read_torch_file(file), saved)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    machine = InertUnpickler(data)
    with contextlib.suppress(CheckpointError):
        machine.load()
    assert machine.position <= len(data)


def test_a_tensor_that_is_given_twice_is_read_once():
    buffer = io.BytesIO()
    shared = torch.arange(4.0)
    torch.save([shared, shared.view(2, 2)], buffer)
    with tempfile.TemporaryFile() as file:
        file.write(buffer.getvalue())
        file.seek(0)
        first, second = read_torch_file(file)
        assert first.storage is second.storage
        assert first.read().data_ptr() == second.read().data_ptr()


@given(text=st.text(st.characters(codec=None, exclude_categories=()), max_size=1000))
def test_printable_text_is_one_short_line(text):
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) <= MAX_SHOWN + 3
    if len(text) <= MAX_SHOWN and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(("text", "shown"), [("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("\udcff", r"\udcff")])
def test_what_is_not_printable_is_escaped(text, shown):
    assert printable(text) == shown
