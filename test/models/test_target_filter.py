"""The target filter's scores are the same where they are traced for an engine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trdimp_ros.models.target_filter import apply_filter


@pytest.mark.filterwarnings("ignore")  # that sizes become constants is wanted
@given(st.integers(1, 7), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_a_traced_filter_gives_the_scores_of_the_plain_one(size, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(2, 1, height, width, 5, generator=generator)
    filters = torch.randn(1, 5, size, size, generator=generator)
    traced = torch.jit.trace(apply_filter, (features, filters), check_trace=False)
    assert torch.allclose(traced(features, filters), apply_filter(features, filters), atol=1e-4)
