"""The faster precision is chosen by timing both."""

from __future__ import annotations

import torch

from trdimp_ros.training import precision


def test_the_faster_one_is_chosen(monkeypatch):
    for fastest in precision.PRECISIONS.values():
        monkeypatch.setattr(precision, "_seconds", lambda _, dtype, fastest=fastest: float(dtype != fastest))
        assert precision.fastest_precision(torch.device("cpu")) == fastest


def test_both_are_timed_on_the_device():
    assert precision.fastest_precision(torch.device("cpu")) in precision.PRECISIONS.values()
