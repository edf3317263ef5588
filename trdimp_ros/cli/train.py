"""Train the compact network."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trdimp_ros.checkpoints import BUNDLED_PRESET
from trdimp_ros.checkpoints.weights import load_network, save_network
from trdimp_ros.cli.options import add_changes_argument
from trdimp_ros.media.drawing import write_image
from trdimp_ros.models.compact import COMPACT_NETWORKS
from trdimp_ros.parameters import changed_by_text
from trdimp_ros.tracking import preset
from trdimp_ros.tracking.engines import ENGINES
from trdimp_ros.training.clips import Clip
from trdimp_ros.training.config import TrainingConfig
from trdimp_ros.training.curves import write_curves
from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.image_files import pack
from trdimp_ros.training.pictures import sample_grid
from trdimp_ros.training.precision import PRECISIONS, fastest_precision
from trdimp_ros.training.real_clips import real_clips
from trdimp_ros.training.trainer import Step, Trainer, rank, start_processes
from trdimp_ros.training.validation import validate, validation_clips

CHECKPOINT = "checkpoint.pt"
NETWORK = "network.safetensors"
SAVE_SECONDS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="folders with an index.csv, or packed files; all together"
    )
    parser.add_argument(
        "--network",
        choices=COMPACT_NETWORKS,
        default="compact",
        help="compact_resnet: with the backbone of the first generation, to compare with (%(default)s)",
    )
    parser.add_argument("--pack", type=Path, metavar="FILE", help="only write all data as one small file")
    parser.add_argument("--out", type=Path, default=Path("training"), help="checkpoint, log, pictures (%(default)s)")
    parser.add_argument(
        "--start-from",
        type=Path,
        metavar="FILE",
        help="begin this run with the weights and the step of the checkpoint.pt of another one, whose configuration "
        "may differ, or with the weights of a .safetensors file at step 0",
    )
    add_changes_argument(
        parser, "change one field of TrainingConfig, or of its composition: composition.side=192; may be repeated"
    )
    parser.add_argument(
        "--precision", choices=["auto", *PRECISIONS], default="auto", help="auto: what is faster here (%(default)s)"
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="auto",
        help="what computes a backbone that is not trained; auto: openvino where it is installed, on a processor in "
        "float32 (%(default)s)",
    )
    parser.add_argument("--minutes", type=float, help="save and stop after this time; the same command goes on")
    parser.add_argument("--validate-every", type=int, default=500, metavar="STEPS", help="0: never (%(default)s)")
    parser.add_argument("--validation-clips", type=int, default=10, help="(%(default)s)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    if options.pack:
        count = pack(options.data, options.pack)
        print(f"{options.pack}: {count} images, {options.pack.stat().st_size / 2**20:.1f} MiB")
        return {"images": count, "file": str(options.pack)}
    config = changed_by_text(TrainingConfig(), options.changes)
    device = start_processes()
    bank = load_image_bank(options.data, "train").to(device)
    precision = fastest_precision(device) if options.precision == "auto" else PRECISIONS[options.precision]
    trainer = Trainer(COMPACT_NETWORKS[options.network], config, bank, precision, options.engine)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / CHECKPOINT
    if checkpoint.is_file():
        trainer.resume(checkpoint)
        print(f"going on from step {trainer.step} of {checkpoint}")
    elif options.start_from:
        _start_from(trainer, options.start_from)
        print(f"starting from step {trainer.step} of {options.start_from}")
    recorder = _Recorder(options, trainer) if rank() == 0 else None

    end = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    last: Step | None = None
    steps = trainer.run(until=lambda: time.monotonic() > end)
    for last in tqdm(
        steps, total=config.steps, initial=trainer.step, unit="step", disable=None if rank() == 0 else True
    ):
        if recorder:
            recorder.after(last)
    if recorder:
        recorder.finish()
    return {
        "steps": trainer.step,
        "of": config.steps,
        "losses": last.losses if last else None,
        "validation": recorder.validations[-1] if recorder and recorder.validations else None,
        "network": str(options.out / NETWORK),
    }


def _start_from(trainer: Trainer, path: Path) -> None:
    """Begin with another run's state, or with the weights of a network."""
    if path.suffix == ".safetensors":
        network, _ = load_network(path)
        trainer.start_from_network(network)
    else:
        trainer.start_from(path)


class _Recorder:
    """What the first process writes down: log, checkpoints, the averaged network, validation."""

    def __init__(self, options: argparse.Namespace, trainer: Trainer) -> None:
        self._options, self._trainer = options, trainer
        self._saved = time.monotonic()
        self._clips: list[Clip] = []
        self.validations: list[dict[str, float]] = []
        write_image(options.out / "samples.png", sample_grid(trainer.samples(trainer.step)))

    def after(self, step: Step) -> None:
        row = {"step": step.number, **step.losses, "learning_rate": step.learning_rate, "seconds": step.seconds}
        _append(self._options.out / "log.csv", row)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()
        every = self._options.validate_every
        if every and step.number % every == 0:
            self._validate()

    def finish(self) -> None:
        self._save()
        if importlib.util.find_spec("matplotlib") is not None:
            write_curves(self._options.out / "log.csv", self._options.out / "curves.png")
        if self._trainer.step >= self._trainer.config.steps and self._options.validate_every:
            self._validate()

    def _save(self) -> None:
        self._trainer.save(self._options.out / CHECKPOINT)
        save_network(self._trainer.average, self._options.out / NETWORK)
        self._saved = time.monotonic()

    def _validate(self) -> None:
        if not self._clips:
            count = self._options.validation_clips
            self._clips = validation_clips(load_image_bank(self._options.data, "val"), count)
            self._clips += real_clips(self._options.data, "val", count)
        average = self._trainer.average
        device = next(average.parameters()).device
        result = validate(average, preset(BUNDLED_PRESET), self._clips, device)
        row = {"step": self._trainer.step, "success": result.success, "separation": result.separation}
        self.validations.append(row)
        _append(self._options.out / "validation.csv", row)
        tqdm.write(f"step {row['step']}: validation success {result.success:.3f}, separation {result.separation:.3f}")


def _append(path: Path, row: dict[str, float]) -> None:
    new = not path.is_file()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow({name: f"{value:.6g}" for name, value in row.items()})
