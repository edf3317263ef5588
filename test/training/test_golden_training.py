"""The training-time pass, its losses and its gradients against the original's numbers."""

from __future__ import annotations

import copy

import pytest
import torch

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.labels import LABEL_SIGMA, gaussian_label
from trdimp_ros.testing.golden_set import skip_in_small_set
from trdimp_ros.training.forward_pass import TrainingPass, one_turn
from trdimp_ros.training.losses import hinge_loss, kl_regression_loss, weighted_losses

FROZEN = ("conv1", "bn1", "layer1", "layer2")


def test_golden_hinge_loss(golden):
    label = gaussian_label(golden["label/boxes"], (22, 22), (352, 352), 4, LABEL_SIGMA, end_pad=True)
    golden.check("train/hinge_loss", hinge_loss(golden["train/hinge_scores"], label))


def test_golden_kl_loss(golden):
    densities = golden["train/kl_sample_density"], golden["train/kl_gt_density"]
    golden.check("train/kl_loss", kl_regression_loss(golden["train/kl_scores"], *densities))


def keep_early_statistics(network: TrDiMPNet) -> None:
    """The batch norms before the third stage keep their statistics during training."""
    for name in FROZEN:
        getattr(network.backbone, name).eval()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_golden_training_pass(golden, mode):
    skip_in_small_set(golden, "train/images")
    network = copy.deepcopy(golden.network).train(mode == "train")
    keep_early_statistics(network)
    images = golden["train/images"].permute(0, 1, 4, 2, 3).float()
    boxes, sample = golden["train/boxes"], tuple(images.shape[-2:])
    cells = (sample[0] // 16, sample[1] // 16)
    masks = gaussian_label(boxes.flatten(0, 1), cells, sample, 4).view(4, 2, *cells)
    golden.check("train/train_label", masks[:2])
    labels = gaussian_label(boxes[2:].flatten(0, 1), cells, sample, 4, LABEL_SIGMA, end_pad=True)
    labels = labels.view(2, 2, *labels.shape[1:])
    golden.check("train/test_label", labels)

    with torch.enable_grad():
        output = TrainingPass(network)(images, boxes, masks, golden["train/proposals"], one_turn(2, 2))
        losses = weighted_losses(output, labels, golden["train/proposal_density"], golden["train/gt_density"])
        losses["total"].backward()
    golden.check(f"train/{mode}/scores", torch.stack(output.scores))
    golden.check(f"train/{mode}/box_scores", output.box_scores)
    golden.check(f"train/{mode}/losses", torch.stack(list(losses.values())))

    parameters = dict(network.named_parameters())
    names = golden.json(f"train/{mode}/grad_names")
    assert {name for name, value in parameters.items() if value.grad is not None} == set(names)
    golden.check(f"train/{mode}/grad_norms", torch.stack([parameters[name].grad.double().norm() for name in names]))
    prefix = f"train/{mode}/grad/"
    for key in (key for key in golden.keys if key.startswith(prefix)):
        golden.check(key, parameters[key.removeprefix(prefix)].grad)
    for key in (key for key in golden.keys if key.startswith(f"train/{mode}/after/")):
        golden.check(key, network.state_dict()[key.removeprefix(f"train/{mode}/after/")])
