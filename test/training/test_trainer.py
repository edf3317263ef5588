"""The training loop on a toy configuration: reproducible, resumable, learning, on several processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from trdimp_ros.checkpoints import load_network
from trdimp_ros.models.backbones import EfficientNetLite0Config
from trdimp_ros.models.compact import COMPACT_NETWORKS
from trdimp_ros.testing.tiny import TINY_NETWORK
from trdimp_ros.training import initialization
from trdimp_ros.training.config import CompositionConfig, TrainingConfig
from trdimp_ros.training.losses import contrastive_loss, direct_losses, kl_regression_loss
from trdimp_ros.training.pretrained import ImageClassifier
from trdimp_ros.training.trainer import Trainer, learning_rate_factor

TOY = TrainingConfig(
    steps=20,
    batch=4,
    iterations=2,
    proposals=16,
    learning_rate=2e-3,
    composition=CompositionConfig(side=96, search_area_scale=2.5),
)


LITE_NETWORK = replace(TINY_NETWORK, backbone=EfficientNetLite0Config(), direct_channels=16)


@pytest.fixture
def published_weights(monkeypatch, tmp_path):
    """A file as the published one, with other numbers: names of another style, and entries after those we take."""
    torch.manual_seed(3)
    weights = {f"_entry.{index}": value for index, value in enumerate(ImageClassifier().state_dict().values())}
    torch.save(weights, tmp_path / "published.pth")
    monkeypatch.setattr(initialization, "pretrained_file", lambda: tmp_path / "published.pth")


def losses(trainer: Trainer) -> list[float]:
    return [step.losses["total"] for step in trainer.run()]


@pytest.fixture(scope="module")
def curve(toy_bank) -> list[float]:
    return losses(Trainer(TINY_NETWORK, TOY, toy_bank))


def test_two_runs_with_one_seed_give_the_same_curve(toy_bank, curve):
    assert losses(Trainer(TINY_NETWORK, TOY, toy_bank)) == pytest.approx(curve, rel=1e-4)


def test_the_loss_of_the_same_batches_falls(toy_bank):
    trainer = Trainer(TINY_NETWORK, TOY, toy_bank)

    def loss() -> float:
        return sum(float(trainer._objective(trainer.samples(step), step)["total"]) for step in range(4))

    before = loss()
    losses(trainer)
    assert loss() < 0.85 * before


def test_a_resumed_run_goes_on_as_if_never_stopped(toy_bank, curve, tmp_path):
    first = Trainer(TINY_NETWORK, TOY, toy_bank)
    steps = [step.losses["total"] for step in first.run(until=lambda: first.step >= 8)]
    first.save(tmp_path / "checkpoint.pt")
    second = Trainer(TINY_NETWORK, TOY, toy_bank)
    second.resume(tmp_path / "checkpoint.pt")
    assert second.step == 8
    assert steps + losses(second) == pytest.approx(curve, rel=1e-4)
    assert not (tmp_path / "checkpoint.part").exists()


def test_the_average_follows_the_weights(toy_bank):
    trainer = Trainer(TINY_NETWORK, TOY, toy_bank)
    before = trainer.average.backbone.conv1.weight.clone()
    for _ in trainer.run(until=lambda: trainer.step >= 3):
        pass
    assert not torch.equal(trainer.average.backbone.conv1.weight, before)
    assert not trainer.average.training


def test_the_learning_rate_rises_and_falls_to_zero():
    factors = [learning_rate_factor(step / 100, 0.1) for step in range(101)]
    assert factors[0] < 0.02
    assert max(factors) == pytest.approx(1.0, abs=0.01)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(0.0, abs=1e-6)


def test_the_learning_rate_can_be_constant_in_between():
    factors = [learning_rate_factor(step / 100, 0.1, 0.3) for step in range(101)]
    assert factors[10:70] == [1.0] * 60
    assert factors[70:] == sorted(factors[70:], reverse=True)
    assert factors[-1] == pytest.approx(0.0, abs=1e-6)


def test_the_contrastive_loss_wants_the_target_to_stand_out():
    torch.manual_seed(0)
    train, test = torch.randn(2, 4, 6, 6, 16), torch.randn(3, 4, 6, 6, 16)
    train_target, test_target = torch.zeros(2, 4, 6, 6), torch.zeros(3, 4, 6, 6)
    train_target[:, :, 3, 3] = test_target[:, :, 2, 4] = 1.0
    present = torch.ones(3, 4, dtype=torch.bool)
    chance = contrastive_loss(train, test, train_target, test_target, present)
    test[:, :, 2, 4] = train[0, :, 3, 3] + train[1, :, 3, 3]
    found = contrastive_loss(train, test, train_target, test_target, present)
    assert chance > 3.0
    assert found < 0.2
    absent = contrastive_loss(train, test, train_target, test_target, torch.zeros_like(present))
    assert absent == 0.0


def test_frames_without_target_have_no_box_loss():
    scores, density = torch.randn(2, 3, 8), torch.rand(2, 3, 8) + 0.1
    present = torch.tensor([[True, False, True], [False, True, True]])
    with_absent = kl_regression_loss(scores, density, density, present)
    only_present = kl_regression_loss(scores[present], density[present], density[present])
    torch.testing.assert_close(with_absent, only_present)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a whole number from 1 to 100000000, got 0"),
        ({"iterations": 1}, "iterations must be a whole number from 2"),
        ({"learning_rate": -1.0}, "learning_rate must be a number above 0 .*, got -1.0"),
        ({"average": 1.0}, "average must be a number from 0 to 0.999999, got 1.0"),
    ],
)
def test_a_bad_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**change)


def test_a_bad_composition_is_refused():
    with pytest.raises(ValueError, match="side must be a multiple of 16, got 100"):
        CompositionConfig(side=100)
    with pytest.raises(ValueError, match="absent_share must be a number from 0 to 1, got 2"):
        CompositionConfig(absent_share=2)


def test_a_damaged_or_foreign_checkpoint_is_refused(toy_bank, tmp_path):
    trainer, path = Trainer(TINY_NETWORK, TOY, toy_bank), tmp_path / "checkpoint.pt"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match="not a checkpoint of a training, or damaged"):
        trainer.resume(path)
    trainer.save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="not a checkpoint of a training, or damaged"):
        trainer.resume(path)
    Trainer(replace(TINY_NETWORK, key_channels=4), TOY, toy_bank).save(path)
    with pytest.raises(ValueError, match="is of another network"):
        trainer.resume(path)
    trainer.save(path)
    state = torch.load(path, weights_only=True)
    del state["network"]["classifier.filter_optimizer.filter_reg"]
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"another version of this package.*filter_reg and 0 more"):
        trainer.resume(path)


def test_a_run_goes_on_only_with_its_own_configuration_and_data(toy_bank, boxed_bank, tmp_path):
    path = tmp_path / "checkpoint.pt"
    Trainer(TINY_NETWORK, TOY, toy_bank).save(path)
    other = replace(TOY, steps=30, composition=replace(TOY.composition, rotation=0.1))
    with pytest.raises(ValueError, match=r"composition\.rotation: 0\.3 there, 0\.1 here; steps: 20 there, 30 here"):
        Trainer(TINY_NETWORK, other, toy_bank).resume(path)
    with pytest.raises(ValueError, match="frames: 4 there"):
        Trainer(TINY_NETWORK, TOY, boxed_bank).resume(path)


def test_a_run_can_start_from_another_with_other_rates(toy_bank, tmp_path):
    first, path = Trainer(TINY_NETWORK, TOY, toy_bank), tmp_path / "checkpoint.pt"
    for _ in first.run(until=lambda: first.step >= 3):
        pass
    first.save(path)
    short = replace(TOY, steps=5, warm_up=0.0, cool_down=0.4, learning_rate=1e-3)
    second = Trainer(TINY_NETWORK, short, toy_bank)
    second.start_from(path)
    assert [(step.number, step.learning_rate) for step in second.run()] == [(4, 1e-3), (5, pytest.approx(5e-4))]
    with pytest.raises(ValueError, match="is at step 3, and this run ends after step 2"):
        Trainer(TINY_NETWORK, replace(short, steps=2), toy_bank).start_from(path)


def test_a_run_can_start_from_the_weights_of_a_network(toy_bank, published_weights):
    trained = Trainer(LITE_NETWORK, replace(TOY, steps=2), toy_bank)
    list(trained.run())
    with torch.no_grad():  # weights of another backbone than the published one
        for parameter in trained.average.backbone.parameters():
            parameter.mul_(1.1)
    trainer = Trainer(LITE_NETWORK, replace(TOY, steps=2, learning_rate=1e-12), toy_bank)
    trainer.start_from_network(trained.average)
    assert trainer.step == 0
    before = {name: value.clone() for name, value in trained.average.backbone.state_dict().items()}
    first = next(trainer.run())
    for name, value in trainer.average.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    plain = Trainer(LITE_NETWORK, replace(TOY, steps=2), toy_bank)
    assert first.losses["total"] != next(plain.run()).losses["total"]
    with pytest.raises(ValueError, match="of another network"):
        Trainer(TINY_NETWORK, TOY, toy_bank).start_from_network(trained.average)


def test_a_run_that_began_with_another_backbone_goes_on_with_that(toy_bank, published_weights, tmp_path):
    begun = Trainer(LITE_NETWORK, replace(TOY, steps=2), toy_bank)
    with torch.no_grad():
        for parameter in begun.average.backbone.parameters():
            parameter.mul_(1.1)
    begun.start_from_network(begun.average)
    begun.save(tmp_path / "checkpoint.pt")
    resumed = Trainer(LITE_NETWORK, replace(TOY, steps=2), toy_bank)
    resumed.resume(tmp_path / "checkpoint.pt")
    assert next(resumed.run()).losses == next(begun.run()).losses


def test_a_pretrained_backbone_stays_as_it_is(toy_bank, published_weights):
    trainer = Trainer(LITE_NETWORK, replace(TOY, steps=2), toy_bank)
    before = {name: value.clone() for name, value in trainer.average.backbone.state_dict().items()}
    for step in trainer.run():
        assert {"direct_box", "direct_quality"} <= step.losses.keys()
    assert all(torch.equal(value, before[name]) for name, value in trainer.average.backbone.state_dict().items())
    assert not torch.equal(
        trainer.average.direct_box_head.output.weight,
        Trainer(LITE_NETWORK, TOY, toy_bank).average.direct_box_head.output.weight,
    )


def test_without_its_loss_the_iou_predictor_stays_as_it_is(toy_bank, published_weights):
    trainer = Trainer(LITE_NETWORK, replace(TOY, steps=2, box_weight=0.0), toy_bank)
    before = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    for step in trainer.run():
        assert "box" not in step.losses
    same = {name for name, value in trainer.average.state_dict().items() if torch.equal(value, before[name])}
    predictor = {name for name in before if name.startswith("bb_regressor")}
    assert predictor
    assert predictor <= same
    assert not any(name.startswith("direct_box_head.output") for name in same)


def test_late_stages_are_tuned_when_asked_to(toy_bank, published_weights):
    trainer = Trainer(LITE_NETWORK, replace(TOY, steps=2, backbone_rate=0.1), toy_bank)
    before = {name: value.clone() for name, value in trainer.average.backbone.state_dict().items()}
    for _ in trainer.run():
        pass
    changed = {
        name for name, value in trainer.average.backbone.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed
    assert all(name.startswith(("stages.3", "stages.4")) and "running" not in name for name in changed)


def test_a_perfect_box_has_no_direct_loss():
    boxes = torch.tensor([[20.0, 24.0, 40.0, 32.0], [60.0, 60.0, 20.0, 24.0]])
    output = torch.full((2, 5, 12, 12), -20.0)
    centers = (torch.arange(12) + 0.5) * 8
    for number, (x, y, w, h) in enumerate(boxes.tolist()):
        sides = centers[None] - x, centers[:, None] - y, x + w - centers[None], y + h - centers[:, None]
        for side, distance in enumerate(sides):
            output[number, side] = (distance.clamp_min(1.0) / 24.0).log().expand(12, 12)
        inside = (sides[0] > 0) & (sides[1] > 0) & (sides[2] > 0) & (sides[3] > 0)
        output[number, 4] = torch.where(inside, 20.0, -20.0)
    present = torch.tensor([True, True])
    perfect = direct_losses(output, boxes, present)
    assert perfect.box < 1e-4
    assert perfect.quality < 1e-4
    shifted = direct_losses(output, boxes + torch.tensor([8.0, 0.0, 0.0, 0.0]), present)
    assert shifted.box > 0.2
    absent = direct_losses(output, boxes, torch.tensor([False, False]))
    assert absent.box == 0
    assert absent.quality > 10


def test_a_batch_too_small_for_batch_norms_is_refused(toy_bank):
    with pytest.raises(ValueError, match="batch must be at least 2 for each process"):
        Trainer(TINY_NETWORK, replace(TOY, batch=1), toy_bank)


def test_float16_is_refused(toy_bank):
    with pytest.raises(ValueError, match="float16 is not supported"):
        Trainer(TINY_NETWORK, TOY, toy_bank, torch.float16)


COMMAND = [
    "--set",
    "pretrained=false",
    "--set",
    "batch=2",
    "--set",
    "steps=4",
    "--set",
    "composition.side=96",
    "--set",
    "iterations=2",
]


def test_train_writes_checkpoint_log_and_pictures_and_goes_on(toy_folder, tmp_path):
    command = [sys.executable, "-m", "trdimp_ros.cli.main", "train", "--data", str(toy_folder), "--out", str(tmp_path)]
    command += [*COMMAND, "--validate-every", "4", "--validation-clips", "2", "--json", str(tmp_path / "report.json")]
    stopped = subprocess.run([*command, "--minutes", "0.0001"], capture_output=True, text=True, check=False)
    assert stopped.returncode == 0, stopped.stderr
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stdout
    other = subprocess.run([*command, "--set", "seed=1"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "another configuration (seed: 0 there, 1 here)" in other.stderr
    other = subprocess.run([*command, "--network", "compact_resnet"], capture_output=True, text=True, check=False)
    assert other.returncode == 2
    assert "is of another network" in other.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["steps"], report["of"]) == (4, 4)
    assert 0 <= report["validation"]["success"] <= 1
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert (tmp_path / "samples.png").stat().st_size > 10_000
    assert (tmp_path / "network.safetensors").is_file()


def test_the_first_generations_backbone_can_be_trained_to_compare_with(toy_folder, tmp_path):
    command = [sys.executable, "-m", "trdimp_ros.cli.main", "train", "--data", str(toy_folder), "--out", str(tmp_path)]
    command += [*COMMAND, "--set", "steps=1", "--validate-every", "0", "--network", "compact_resnet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_network(tmp_path / "network.safetensors")[0].config == COMPACT_NETWORKS["compact_resnet"]


def test_two_processes_train_together(toy_folder, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29617"]
    command += ["-m", "trdimp_ros.cli.main", "train", "--data", str(toy_folder), "--out", str(tmp_path)]
    command += [*COMMAND, "--set", "batch=4"]
    done = subprocess.run([*command, "--validate-every", "0"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert len(rows) == 4


def test_the_appearance_head_is_trained_alone_and_nothing_else_changes(toy_bank, published_weights):
    network = replace(LITE_NETWORK, appearance_channels=8)
    trainer = Trainer(network, replace(TOY, steps=12, only_appearance=True), toy_bank)
    before = {name: value.clone() for name, value in trainer.average.state_dict().items()}
    steps = [step.losses for step in trainer.run()]
    assert set(steps[0]) == {"total", "appearance_same", "appearance_look_alike", "appearance_other"}
    assert steps[-1]["total"] < steps[0]["total"]
    changed = {name for name, value in trainer.average.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("appearance_head.") for name in changed)


def test_weights_without_an_appearance_head_can_be_started_from(toy_bank, published_weights):
    first = Trainer(LITE_NETWORK, replace(TOY, seed=5), toy_bank)
    second = Trainer(replace(LITE_NETWORK, appearance_channels=8), TOY, toy_bank)
    second.start_from_network(first.average)
    state = second.average.state_dict()
    assert all(torch.equal(state[name], value) for name, value in first.average.state_dict().items())


def test_the_appearance_head_alone_needs_one(toy_bank):
    with pytest.raises(ValueError, match="only_appearance"):
        Trainer(TINY_NETWORK, replace(TOY, only_appearance=True), toy_bank)


def test_close_views_leave_the_batch_norms_of_a_trained_backbone_alone(toy_bank):
    """Two steps of the head alone, on a backbone that is not frozen."""
    network = replace(TINY_NETWORK, appearance_channels=8)
    trainer = Trainer(network, replace(TOY, steps=2, only_appearance=True), toy_bank)
    before = {name: value.clone() for name, value in trainer._network.backbone.state_dict().items()}
    list(trainer.run())
    after = trainer._network.backbone.state_dict()
    assert trainer._network.backbone.training
    assert all(torch.equal(after[name], value) for name, value in before.items() if "running" in name)
