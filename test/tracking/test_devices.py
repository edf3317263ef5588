"""The choice of device, precision and threads."""

from __future__ import annotations

import pytest
import torch

from trdimp_ros.tracking.devices import (
    PRECISIONS,
    choose_device,
    limit_threads,
    threads_in_use,
    torch_threads,
    use_threads,
)


def test_auto_is_a_device_that_computes():
    device = choose_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.parametrize(("name", "words"), [("tpu9", "unknown device"), ("meta", "not supported")])
def test_what_is_no_device_for_a_tracker_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        choose_device(name)


def test_an_absent_gpu_is_named_without_words_of_one_front_end():
    name = "cuda:99" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ValueError, match="only" if torch.cuda.is_available() else "sees no GPU") as refusal:
        choose_device(name)
    assert name in str(refusal.value)
    assert "--" not in str(refusal.value), "a flag of the command line means nothing in a ROS log"
    assert "model.device" not in str(refusal.value), "a ROS parameter means nothing in a shell"


def test_no_threads_asked_for_restores_the_default():
    before = torch.get_num_threads()
    try:
        use_threads(before + 1)
        assert torch.get_num_threads() == threads_in_use() == before + 1
        use_threads(0)
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="-1"):
        use_threads(-1)


def test_a_process_of_a_pool_has_a_default_of_its_own():
    before = torch.get_num_threads()
    try:
        limit_threads(before + 2)
        use_threads(1)
        use_threads(0)
        assert torch.get_num_threads() == threads_in_use() == before + 2
    finally:
        limit_threads(before)


def test_torch_has_other_threads_for_a_while():
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with torch_threads(None):
        assert torch.get_num_threads() == before


def test_precisions_are_torch_dtypes():
    assert all(dtype == getattr(torch, name) for name, dtype in PRECISIONS.items())
