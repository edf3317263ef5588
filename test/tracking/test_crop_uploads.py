"""Search areas are the same whoever interpolates them: the host, or a GPU in operations of fixed shapes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from trdimp_ros.tracking.crop_uploads import CropUpload, PatchUpload, PixelUpload, crop_upload
from trdimp_ros.tracking.cropping import Crop, plan_crop, read_crop, resize

SIDE = 32
CPU = torch.device("cpu")
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)


def crop_at(row: float, column: float, size: float) -> Crop:
    center, sizes = np.array([row, column], np.float32), np.array([size, size], np.float32)
    return read_crop(IMAGE, plan_crop(IMAGE.shape[:2], center, sizes, (SIDE, SIDE), "replicate", None))


PLACES = st.lists(st.tuples(st.floats(-50, 200), st.floats(-50, 200), st.floats(1, 600)), min_size=1, max_size=3)


def uploaded(upload: CropUpload, places: list[tuple[float, float, float]]) -> torch.Tensor:
    for index, place in enumerate(places):
        upload.put(index, crop_at(*place))
    upload.send()
    return upload.patches(0, len(places))


@given(PLACES)
def test_both_ways_give_the_same_search_areas(places):
    found, expected = (uploaded(upload, places) for upload in (PatchUpload(3, SIDE), PixelUpload(3, SIDE, CPU)))
    assert found.shape == (len(places), 3, SIDE, SIDE)
    assert torch.equal(found, expected)


@given(PLACES)
def test_the_quick_way_differs_by_the_rounding_of_places(places):
    found, expected = (uploaded(crop_upload(3, SIDE, CPU, quick), places) for quick in (True, False))
    assert torch.allclose(found, expected, atol=0.02)


def test_they_are_what_torch_makes_of_the_image():
    upload = PatchUpload(1, SIDE)
    upload.put(0, crop_at(45, 60, 64))
    whole = torch.from_numpy(IMAGE[45 - 31 : 45 + 33, 60 - 31 : 60 + 33]).permute(2, 0, 1)[None].float()
    expected = functional.interpolate(whole, (SIDE, SIDE), mode="bilinear", align_corners=False)
    assert torch.allclose(upload.patches(0, 1), expected, atol=1e-3)


def test_the_order_of_an_image_in_memory_does_not_matter():
    plan = plan_crop(
        IMAGE.shape[:2], np.array([45, 60], np.float32), np.full(2, 64, np.float32), (SIDE, SIDE), "replicate", None
    )
    planar = np.ascontiguousarray(IMAGE.transpose(2, 0, 1)).transpose(1, 2, 0)  # as it comes from torch
    for upload in (PatchUpload(2, SIDE), PatchUpload(2, SIDE, resize), PixelUpload(2, SIDE, CPU)):
        for index, image in enumerate((IMAGE, planar)):
            upload.put(index, read_crop(image, plan))
        upload.send()
        one, other = upload.patches(0, 2)
        assert torch.equal(one, other)


def test_search_areas_stay_where_they_are():
    upload = crop_upload(2, SIDE, CPU)
    upload.put(0, crop_at(20, 30, 40))
    before = upload.patches(0, 2)
    upload.put(1, crop_at(50, 60, 90))
    assert upload.patches(0, 2).data_ptr() == before.data_ptr()
    assert not torch.equal(before[0], before[1])
