"""The order in which functions are run, recorded and replayed. CUDA itself is a fake here: no GPU runs these tests."""

from __future__ import annotations

import contextlib
import logging

import pytest
import torch

from trdimp_ros.testing.tiny import small_scene, tiny_tracker
from trdimp_ros.tracking.graphs import GraphRunner


class FakeGraph:
    """Stands for torch.cuda.CUDAGraph."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


@pytest.fixture
def fake_cuda(monkeypatch):
    graphs = []

    def make() -> FakeGraph:
        graphs.append(FakeGraph())
        return graphs[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", make)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **options: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    return graphs


def test_first_eagerly_then_recorded_then_replayed(fake_cuda):
    runner = GraphRunner(torch.device("cuda"))
    calls = []

    def count(step: str) -> int:
        calls.append(step)
        return len(calls)

    results = [runner.run(count, "a") for _ in range(5)]
    assert len(calls) == 2
    assert results == [1, 2, 2, 2, 2]
    assert [graph.replays for graph in fake_cuda] == [4]
    runner.run(count, "b")
    assert len(fake_cuda) == 1


def test_a_stage_hook_is_never_called_while_recording(fake_cuda):
    """A hook that waits for the device would end the recording. The steps are real, on the CPU; the graph is a fake."""
    frames, boxes = small_scene()
    tracker = tiny_tracker()
    tracker._targets._steps._runner = GraphRunner(torch.device("cuda"))
    stages = []
    tracker.stage = stages.append
    tracker.initialize(frames[0], boxes[0])
    for frame in frames[1:4]:
        tracker.track(frame)
    assert tracker.uses_graphs
    assert fake_cuda
    assert set(stages) <= {"upload", "decision", "retiring template", "template memory"}


def test_a_failed_recording_falls_back_with_one_line(fake_cuda, monkeypatch, caplog):
    @contextlib.contextmanager
    def failing(graph, **options):
        yield
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", failing)
    runner = GraphRunner(torch.device("cuda"))
    with caplog.at_level(logging.WARNING):
        results = [runner.run(int, "7") for _ in range(4)]
    assert results == [7, 7, 7, 7]
    assert not runner.enabled
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "running without CUDA graphs" in caplog.text


def test_the_cpu_runs_eagerly():
    runner = GraphRunner(torch.device("cpu"))
    calls = []
    for _ in range(4):
        runner.run(calls.append, 1)
    assert (len(calls), runner.enabled) == (4, False)
