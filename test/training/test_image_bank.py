"""Reading and packing training images."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from trdimp_ros.training.image_bank import load_image_bank
from trdimp_ros.training.image_files import CROP_SCALE, SCENE_SIDE, pack, read_images


def test_a_folder_is_read_by_split(toy_folder):
    train, val = load_image_bank([toy_folder], "train"), load_image_bank([toy_folder], "val")
    assert train.counts() == {"objects": 5, "backgrounds": 3, "frames": 4, "clips": 1}
    assert val.counts() == {"objects": 3, "backgrounds": 1, "frames": 4, "clips": 1}
    assert train.objects.dtype == torch.uint8
    assert train.object_categories.tolist() == [1, 0, 1, 0, 1]
    assert (train.clip_starts.tolist(), train.clip_lengths.tolist()) == ([0], [4])


def test_objects_are_cut_to_their_mask(toy_bank):
    """The first object is a box of 33 x 41 pixels; with its margin it fills the texture."""
    width, height = toy_bank.object_sizes[0].tolist()
    assert 33 <= width <= 37
    assert 41 <= height <= 46
    covered = (toy_bank.objects[0, 3] > 127).float().mean()
    assert covered > 0.75


def test_frames_are_cut_so_that_every_target_has_the_same_size(boxed_bank):
    sides = boxed_bank.frame_boxes[:, 2:].prod(dim=1).sqrt()
    torch.testing.assert_close(sides, torch.full_like(sides, SCENE_SIDE / CROP_SCALE))
    middles = boxed_bank.frame_boxes[:, :2] + boxed_bank.frame_boxes[:, 2:] / 2
    torch.testing.assert_close(middles, torch.full_like(middles, SCENE_SIDE / 2))


def test_the_box_of_a_frame_fits_its_pixels(boxed_folders):
    """The disc's colour ends where the box does, whether the crop enlarges or not."""
    bank = load_image_bank_of_frames(boxed_folders)
    for image, box, color in bank:
        near = (np.abs(image.astype(int) - color).sum(axis=2) < 90).nonzero()
        seen = [near[1].min(), near[0].min(), near[1].max() + 1, near[0].max() + 1]
        wanted = [box[0], box[1], box[0] + box[2], box[1] + box[3]]
        assert np.abs(np.array(seen) - wanted).max() < 3.0


def load_image_bank_of_frames(folders):
    frames = [image for image in read_images(folders[1], "train") if image.kind == "frame"]
    assert len(frames) == 5  # the target is absent in one of six
    return [(frame.pixels, frame.box, np.array([30, 200, 200])) for frame in frames]


def test_an_image_with_a_box_is_a_clip_of_one_frame(boxed_folders):
    frames = [image for image in read_images(boxed_folders[0], "train") if image.source != "parts"]
    assert len({frame.group for frame in frames}) == len(frames) == 4
    assert {frame.source for frame in frames} == {"toys"}


def test_a_large_source_does_not_drown_the_others(boxed_bank):
    """Its weight is the root of its number of frames."""
    share = boxed_bank.clip_weights / boxed_bank.clip_weights.sum()
    clip = int(boxed_bank.clip_lengths.argmax())
    assert boxed_bank.clip_lengths[clip] == 5
    assert share[clip] < 5 / len(boxed_bank.frames) + 0.1
    assert boxed_bank.clip_weights[clip] == pytest.approx(5**0.5)


def test_a_packed_file_holds_the_same(toy_folder, boxed_folders, boxed_bank, tmp_path):
    pack([toy_folder, *boxed_folders], tmp_path / "pack.zip")
    packed = load_image_bank([tmp_path / "pack.zip"], "train")
    assert packed.counts() == boxed_bank.counts()
    assert torch.equal(packed.frame_boxes, boxed_bank.frame_boxes)
    assert torch.equal(packed.clip_weights, boxed_bank.clip_weights)
    assert torch.equal(packed.objects[:, 3], boxed_bank.objects[:, 3])
    assert (packed.frames.float() - boxed_bank.frames.float()).abs().mean() < 4  # JPEG


def test_what_is_no_data_is_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a folder with an index"):
        load_image_bank([tmp_path], "train")
    (tmp_path / "index.csv").write_text("file,kind\n")
    with pytest.raises(ValueError, match="lacks the columns category, mask, split"):
        load_image_bank([tmp_path], "train")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("something", "else")
    with pytest.raises(ValueError, match="not a packed file"):
        load_image_bank([tmp_path / "other.zip"], "train")
    (tmp_path / "index.csv").write_text("file,kind,split,mask,category\n")
    with pytest.raises(ValueError, match="no objects"):
        load_image_bank([tmp_path], "train")


def test_as_many_boxes_as_frames_are_wanted(boxed_folders, tmp_path):
    clip = tmp_path / "clips" / "short"
    clip.mkdir(parents=True)
    for name in ("000.jpg", "boxes.csv"):
        (clip / name).write_bytes((boxed_folders[1] / "clips" / "disc_val" / name).read_bytes())
    (tmp_path / "index.csv").write_text("clip,split\nshort,train\n")
    with pytest.raises(ValueError, match="has 6 lines for 1 frames"):
        load_image_bank([tmp_path], "train")
