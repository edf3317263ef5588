"""Several processes of a training run stop at the same step, however their clocks differ."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os
import sys
from dataclasses import replace
from pathlib import Path
from torch import distributed
from trdimp_ros.testing.tiny import TINY_NETWORK
from trdimp_ros.training.config import CompositionConfig, TrainingConfig
from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.trainer import Trainer, rank, start_processes

device = start_processes()
bank = load_image_bank([Path(sys.argv[1])], "train").to(device)
config = TrainingConfig(steps=6, batch=4, iterations=2, pretrained=False, composition=CompositionConfig(side=96))
trainer = Trainer(TINY_NETWORK, config, bank)
# The first process has time for two steps; the other's time is over at once.
for _ in trainer.run(until=lambda: rank() > 0 or trainer.step >= 2):
    pass
Path(sys.argv[2], str(rank())).write_text(str(trainer.step))
distributed.barrier()
# Not what is tested: as Python ends, threads of torch's process group now and then end the process with SIGABRT.
os._exit(0)
"""


def test_the_first_process_decides_when_to_stop(toy_folder, tmp_path):
    """Judged by each for itself, the first would wait for the other's gradients for ever."""
    (tmp_path / "train.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29631"]
    done = subprocess.run(
        [*command, str(tmp_path / "train.py"), str(toy_folder), str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert [(tmp_path / str(process)).read_text() for process in range(2)] == ["2", "2"]
