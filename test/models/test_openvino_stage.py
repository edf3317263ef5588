"""What is compiled is kept for who asks for the same."""

from __future__ import annotations

import copy
import importlib.util

import pytest
import torch
from torch import nn

from trdimp_ros.models.openvino_stage import CompiledStage, _compiled, _Content

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="the optional package openvino is not installed"
)


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.layer = nn.Linear(4, 3)

    def forward(self, one: torch.Tensor) -> torch.Tensor:
        return self.factor * self.layer(one)


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


@pytest.mark.parametrize("change", [change_weight, change_number])
def test_another_module_is_compiled_anew(module, change):
    other = copy.deepcopy(module)
    change(other)
    assert _Content.of(other) != _Content.of(module)
    ones = torch.rand(1, 4)
    for one in (module, other):
        assert torch.allclose(CompiledStage("sum", one)(ones)[0], one(ones).detach(), atol=1e-5)


def test_another_size_or_number_of_threads_is_compiled_anew(module):
    CompiledStage("sum", module, threads=3)(torch.rand(1, 4))
    before = compilations()
    CompiledStage("sum", module, threads=4)(torch.rand(1, 4))
    CompiledStage("sum", module, batch=3, threads=3)(torch.rand(3, 4))
    assert compilations() == before + 2
