"""Which kinds of backbones there are, how each is built, and how its sizes are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from trdimp_ros.models.backbones.base import Backbone, BackboneConfig
from trdimp_ros.models.backbones.efficientnet_lite import EfficientNetLite0, EfficientNetLite0Config
from trdimp_ros.models.backbones.resnet import ResNet, ResNetConfig

Config = TypeVar("Config", bound=BackboneConfig)

DEFAULT_KIND = ResNetConfig.kind
"""The kind of a stored architecture that names none: weights files from before there were kinds."""


class BackboneKind(NamedTuple):
    """A registered kind.

    Attributes:
        config: The dataclass of its sizes.
        build: Makes a backbone with random weights from such sizes.
    """

    config: type[BackboneConfig]
    build: Callable[[Any], Backbone]


_KINDS: dict[str, BackboneKind] = {}


def register_backbone(config: type[Config], build: Callable[[Config], Backbone]) -> None:
    """Make a kind of backbone known under its config's ``kind``.

    Args:
        config: The dataclass of its sizes.
        build: The function or class that makes a backbone from such sizes.

    Raises:
        ValueError: if another kind has this name.
    """
    if config.kind in _KINDS:
        raise ValueError(f"there is a backbone kind {config.kind!r} already; choose another name")
    _KINDS[config.kind] = BackboneKind(config, build)


def backbone_kinds() -> list[str]:
    """The names of all registered kinds."""
    return sorted(_KINDS)


def build_backbone(config: BackboneConfig) -> Backbone:
    """A backbone of these sizes, with random weights.

    Raises:
        ValueError: if its kind is not registered.
    """
    return _find(config.kind).build(config)


def backbone_to_json(config: BackboneConfig) -> dict[str, Any]:
    """The sizes and the ``kind`` of a backbone as values that JSON can hold."""
    return {"kind": config.kind, **dataclasses.asdict(config)}


def backbone_from_json(fields: Mapping[str, Any]) -> BackboneConfig:
    """Inverse of `backbone_to_json`; without ``kind`` the backbone is a `ResNet`.

    Raises:
        ValueError: for an unknown kind, naming the known ones, or for sizes out of range.
        TypeError: for fields that the kind does not have.
    """
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return _find(sizes.pop("kind", DEFAULT_KIND)).config(**sizes)


def _find(kind: object) -> BackboneKind:
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"unknown backbone kind {kind!r:.100}; known are {', '.join(backbone_kinds())}")
    return _KINDS[kind]


register_backbone(ResNetConfig, ResNet)
register_backbone(EfficientNetLite0Config, EfficientNetLite0)
