"""What is compiled is kept for who asks for the same."""

from __future__ import annotations

import copy
import importlib.util

import pytest
import torch
from torch import nn

from trdimp_ros.models.openvino_stage import CompiledStage, _compiled, _Content
from trdimp_ros.tracking import box_stage

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the optional package openvino is not installed"
)


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.layer = nn.Linear(4, 3)
        self.register_buffer("unused", torch.zeros(6))

    def forward(self, one: torch.Tensor) -> torch.Tensor:
        return self.factor * self.layer(one)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    _compiled.cache_clear()


@pytest.fixture
def module() -> Scaled:
    torch.manual_seed(0)
    return Scaled(2.0)


def compilations() -> int:
    return _compiled.cache_info().misses


def test_the_same_module_is_compiled_once_for_all_and_computes_for_each(module):
    ones = torch.rand(2, 4)
    wanted = module(ones).detach()
    first, second = (CompiledStage("sum", copy.deepcopy(module)) for _ in range(2))
    before = compilations()
    results = [stage(ones)[0] for stage in (first, second, first)]
    assert compilations() == before + 1
    second(torch.zeros(2, 4))
    for result in results:
        assert torch.allclose(result, wanted, atol=1e-5)


def change_weight(module: Scaled) -> None:
    with torch.no_grad():
        module.layer.weight[0, 0] += 1e-3


def change_number(module: Scaled) -> None:
    module.factor = 3.0


def change_type(module: Scaled) -> None:
    module.register_buffer("unused", torch.zeros(6, dtype=torch.int32))


def change_shape(module: Scaled) -> None:
    module.register_buffer("unused", torch.zeros(2, 3))


@pytest.mark.parametrize("change", [change_weight, change_number, change_type, change_shape])
def test_another_module_is_compiled_anew(module, change):
    other = copy.deepcopy(module)
    change(other)
    assert _Content.of(other) != _Content.of(module)
    ones = torch.rand(1, 4)
    for one in (module, other):
        assert torch.allclose(CompiledStage("sum", one)(ones)[0], one(ones).detach(), atol=1e-5)


def test_what_happens_to_the_weights_afterwards_has_no_effect(module):
    ones = torch.rand(1, 4)
    wanted = module(ones).detach()
    stage = CompiledStage("sum", module)
    stage(ones)
    other = CompiledStage("sum", copy.deepcopy(module))
    with torch.no_grad():
        module.layer.weight.mul_(5)
        module.layer.bias.mul_(5)
    for one in (stage, other):
        assert torch.allclose(one(ones)[0], wanted, atol=1e-5)


def test_a_constant_of_the_package_counts(module, monkeypatch):
    """Someone who tries another value in a running program must not be given what the old one computed."""
    before = _Content.of(module)
    monkeypatch.setattr(box_stage, "FOLLOW", 0.0)
    assert _Content.of(module) != before
    monkeypatch.undo()
    assert _Content.of(module) == before


def test_a_module_that_cannot_be_pickled_is_compiled_each_time(module):
    module.hook = lambda: None
    ones = torch.rand(1, 4)
    for _ in range(2):
        assert torch.allclose(CompiledStage("sum", module)(ones)[0], module(ones).detach(), atol=1e-5)
    assert compilations() == 2


def test_other_types_are_refused(module):
    with pytest.raises(ValueError, match=r"the sum is compiled for torch.float32, not for torch.float64"):
        CompiledStage("sum", module)(torch.rand(1, 4, dtype=torch.float64))


def test_inputs_may_lie_anywhere_and_change_in_place(module):
    stage = CompiledStage("sum", module)
    buffer = torch.rand(1, 4)
    for ones in (buffer, torch.rand(4, 1).T, torch.rand(1, 1).expand(1, 4), buffer, torch.rand(1, 8)[:, ::2]):
        assert torch.allclose(stage(ones)[0], module(ones).detach(), atol=1e-5)
    first = stage(buffer)[0]
    kept = first.clone()
    buffer.add_(1)
    assert torch.allclose(stage(buffer)[0], module(buffer).detach(), atol=1e-5)
    assert torch.equal(first, kept)


def test_another_size_or_number_of_threads_is_compiled_anew(module):
    CompiledStage("sum", module, threads=3)(torch.rand(1, 4))
    before = compilations()
    CompiledStage("sum", module, threads=4)(torch.rand(1, 4))
    CompiledStage("sum", module, batch=3, threads=3)(torch.rand(3, 4))
    assert compilations() == before + 2
