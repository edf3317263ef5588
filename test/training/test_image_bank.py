"""Reading and packing training images."""

from __future__ import annotations

import zipfile

import pytest
import torch

from trdimp_ros.training.image_bank import load_image_bank, pack


def test_a_folder_is_read_by_split(toy_folder):
    train, val = load_image_bank(toy_folder, "train"), load_image_bank(toy_folder, "val")
    assert (len(train.objects), train.backgrounds, len(train.clip_boxes)) == (5, 3, 4)
    assert (len(val.objects), val.backgrounds, len(val.clip_boxes)) == (3, 1, 4)
    assert train.objects.dtype == torch.uint8
    assert train.object_categories.tolist() == [1, 0, 1, 0, 1]
    assert set(train.clip_of_frame.tolist()) == {0}


def test_objects_are_cut_to_their_mask(toy_bank):
    """The first object is a box of 33 x 41 pixels; with its margin it fills the texture."""
    width, height = toy_bank.object_sizes[0].tolist()
    assert 33 <= width <= 37
    assert 41 <= height <= 46
    covered = (toy_bank.objects[0, 3] > 127).float().mean()
    assert covered > 0.75


def test_clip_boxes_are_those_of_the_masks(toy_bank):
    x, y, w, h = (toy_bank.clip_boxes[1] / 256 * torch.tensor([96, 72, 96, 72])).tolist()
    assert x == pytest.approx(28, abs=0.6)
    assert y == pytest.approx(26, abs=0.6)
    assert w == pytest.approx(21, abs=0.8)
    assert h == pytest.approx(21, abs=0.8)


def test_a_packed_file_holds_the_same(toy_folder, toy_bank, tmp_path):
    assert pack(toy_folder, tmp_path / "pack.zip") == 20
    packed = load_image_bank(tmp_path / "pack.zip", "train")
    assert torch.equal(packed.clip_boxes, toy_bank.clip_boxes)
    assert torch.equal(packed.objects[:, 3], toy_bank.objects[:, 3])
    assert (packed.scenes.float() - toy_bank.scenes.float()).abs().mean() < 4  # JPEG


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder with an index"):
        load_image_bank(tmp_path, "train")
    (tmp_path / "index.csv").write_text("file,kind\n")
    with pytest.raises(ValueError, match="lacks the columns category, mask, split"):
        load_image_bank(tmp_path, "train")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("something", "else")
    with pytest.raises(ValueError, match="not a packed file"):
        load_image_bank(tmp_path / "other.zip", "train")
    (tmp_path / "index.csv").write_text("file,kind,split,mask,category\n")
    with pytest.raises(ValueError, match="holds no objects"):
        load_image_bank(tmp_path, "train")
