"""Validation clips of real images: true boxes, and absences."""

from __future__ import annotations

import numpy as np

from trdimp_ros.training.real_clips import GONE, VIEW_FRAMES, real_clips


def test_video_and_views_with_absences(boxed_folders):
    clips = real_clips(boxed_folders, "train", views=4)
    assert len(clips) == 1 + 4
    video, views = clips[0], clips[1:]
    assert video.visible.tolist() == [1, 1, 1, 0, 1, 1]
    assert [len(view.frames) for view in views] == [VIEW_FRAMES] * 4
    assert [(view.visible == 0).any() for view in views] == [False, True, False, True]
    assert all(GONE - 1 <= (view.visible == 0).sum() <= GONE + 1 for view in views[1::2])
    assert all(view.visible[0] == 1 and view.visible[-1] == 1 for view in views)


def test_boxes_of_views_fit_their_pixels(boxed_folders):
    """The toy targets are the only thing that has a colour."""
    for view in real_clips(boxed_folders, "train", views=4)[1:]:
        for frame, box, visible in zip(view.frames, view.boxes, view.visible, strict=True):
            colored = (frame.max(axis=2).astype(int) - frame.min(axis=2)) > 60
            if not visible or not colored.any():
                continue
            rows, columns = colored.nonzero()
            seen = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            wanted = np.concatenate([box[:2], box[:2] + box[2:]])
            if (wanted > 1).all() and (wanted < (319, 239, 319, 239)).all():
                assert np.abs(seen - wanted).max() < 6.0


def test_a_folder_without_boxes_gives_no_clips(toy_folder):
    assert real_clips([toy_folder], "val") == []
