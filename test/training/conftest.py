"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from trdimp_ros.testing.toy_images import write_toy_boxes, write_toy_images
from trdimp_ros.training.image_bank import ImageBank, load_image_bank


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_images(tmp_path_factory.mktemp("toy") / "images")


@pytest.fixture(scope="session")
def toy_bank(toy_folder: Path) -> ImageBank:
    return load_image_bank([toy_folder], "train")


@pytest.fixture(scope="session")
def boxed_folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = write_toy_boxes(tmp_path_factory.mktemp("boxed") / "data")
    return [folder / "static", folder / "video"]


@pytest.fixture(scope="session")
def boxed_bank(toy_folder: Path, boxed_folders: list[Path]) -> ImageBank:
    return load_image_bank([toy_folder, *boxed_folders], "train")
