"""EfficientNet-Lite0: shapes, TensorFlow's padding, folding, and published weights in their order."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from trdimp_ros.models.backbones import EfficientNetLite0, EfficientNetLite0Config, backbone_from_json, build_backbone
from trdimp_ros.models.backbones.efficientnet_lite import SameConv2d
from trdimp_ros.training.pretrained import ImageClassifier, late_stages, load_pretrained


def backbone() -> EfficientNetLite0:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    network.initialize()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.requires_grad_(False)


def test_it_is_built_from_its_stored_kind():
    built = build_backbone(backbone_from_json({"kind": "efficientnet_lite0"}))
    assert isinstance(built, EfficientNetLite0)
    assert (built.fine_channels, built.coarse_channels) == (40, 112)
    assert EfficientNetLite0Config.kind == "efficientnet_lite0"


def test_features_have_strides_8_and_16():
    fine, coarse = backbone()(torch.randn(2, 3, 96, 128))
    assert fine.shape == (2, 40, 12, 16)
    assert coarse.shape == (2, 112, 6, 8)


@pytest.mark.parametrize("kernel", [3, 5])
def test_uneven_padding_lies_right_and_below(kernel):
    """As TensorFlow's SAME: in all kernel - stride lines, the odd one at the end."""
    convolution = SameConv2d(4, 4, kernel, 2, groups=4).requires_grad_(False)
    image = torch.randn(1, 4, 16, 16)
    before = (kernel - 2) // 2
    padded = torch.zeros(1, 4, 16 + kernel - 2, 16 + kernel - 2)
    padded[:, :, before : before + 16, before : before + 16] = image
    wanted = functional.conv2d(padded, convolution.weight, stride=2, groups=4)
    torch.testing.assert_close(convolution(image), wanted)
    assert convolution(image).shape[-2:] == (8, 8)


def test_prepared_for_inference_it_gives_the_same():
    network = backbone()
    prepared = copy.deepcopy(network)
    prepared.prepare_for_inference()
    assert not any(isinstance(module, (torch.nn.BatchNorm2d, SameConv2d)) for module in prepared.modules())
    image = network.normalize(torch.rand(2, 3, 96, 64) * 255)
    for feature, wanted in zip(prepared(image), network(image), strict=True):
        torch.testing.assert_close(feature, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_published_weights_are_taken_in_order(tmp_path):
    classifier = ImageClassifier()
    published = {f"_of.another.name{index}": value for index, value in enumerate(classifier.state_dict().values())}
    assert len(published) == 296
    torch.save(published, tmp_path / "published.pth")
    network = EfficientNetLite0()
    load_pretrained(network, tmp_path / "published.pth")
    torch.testing.assert_close(network.stem[0].weight, classifier.stem[0].weight)
    last = network.stages[4][2].project[0].weight
    torch.testing.assert_close(last, classifier.stages[4][2].project[0].weight)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"first": torch.zeros(3)}, tmp_path / "few.pth")
    with pytest.raises(ValueError, match="holds 1 entries"):
        load_pretrained(EfficientNetLite0(), tmp_path / "few.pth")
    wrong = {str(index): torch.zeros(3) for index in range(296)}
    torch.save(wrong, tmp_path / "wrong.pth")
    with pytest.raises(ValueError, match=r"0 is \(3,\), but stem.0.weight is \(32, 3, 3, 3\)"):
        load_pretrained(EfficientNetLite0(), tmp_path / "wrong.pth")


def test_what_is_tuned_comes_after_stride_8():
    network = backbone()
    tuned = {id(parameter) for parameter in late_stages(network).parameters()}
    names = {name.split(".")[1] for name, parameter in network.named_parameters() if id(parameter) in tuned}
    assert names == {"3", "4"}
