"""The scene with several objects: what was asked for happens, and the truth is where the pixels are."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.media.demo_scene import demo_scene
from trdimp_ros.media.scene import RenderedScene
from trdimp_ros.media.scene_parts import uncovered_share
from trdimp_ros.media.scene_script import SceneScript
from trdimp_ros.media.scripted_scene import ScriptedScene
from trdimp_ros.tracking import Box

BUSY = SceneScript(
    width=160, height=120, frames=1000, targets=2, look_alikes=1, crossings=6, absences=2, camera_turn=0.15,
    camera_shake=1.0, pillar=True, seed=3,
)  # fmt: skip


def test_the_older_scene_has_the_same_pixels_as_ever():
    """Computed by the code before this file existed."""
    scene = RenderedScene()
    digest = hashlib.sha256(b"".join(scene.frame(index).tobytes() for index in (0, 57, 150))).hexdigest()
    assert digest == "ae1bbcaa71e91d5e9107f3bda30c571155693cfe03a1f091ebbcc4bb9b18d9cc"


def test_it_is_reproducible_and_each_frame_stands_alone():
    one, other = ScriptedScene(BUSY), ScriptedScene(BUSY)
    list(zip(range(40), other, strict=False))
    assert np.array_equal(one.frame(333), other.frame(333))
    assert one.truth(1) == other.truth(1)
    different = ScriptedScene(SceneScript(**(vars(BUSY) | {"seed": 4})))
    assert not np.array_equal(one.frame(0), different.frame(0))
    assert one.frame(0).shape == (120, 160, 3)
    assert one.frame(0).dtype == np.uint8


@pytest.mark.parametrize("seed", range(3))
def test_what_was_asked_for_happens(seed):
    script = SceneScript(frames=1500, targets=2, look_alikes=2, crossings=6, absences=4, pillar=True, seed=seed)
    scene = ScriptedScene(script)
    for target in range(2):
        assert scene.visibility(0, target) == 1.0
        planned = [(start, end) for start, end in scene.absences(target) if end - start >= script.absence_frames[0]]
        assert len(planned) >= 4
        elsewhere = 0
        for start, end in planned:
            before, after = scene.box(start - 1, target), scene.box(end, target)
            assert before is not None and after is not None
            far = np.hypot(before.x - after.x, before.y - after.y) > 0.25 * script.width
            elsewhere += far and not 0.8 < after.w / before.w < 1.25
        assert elsewhere >= 3
    assert len(scene.crossings()) >= 6


def test_in_the_demo_one_stays_and_one_leaves_and_comes_back_at_the_other_side():
    scene = demo_scene(160, 120)
    assert [scene.visibility(0, target) for target in (0, 1)] == [1.0, 1.0]
    assert scene.absences(0) == []
    ((start, end),) = scene.absences(1)
    assert 30 < end - start < 80
    before, after = scene.box(start - 1, 1), scene.box(end, 1)
    assert before is not None and before.x + before.w > 160
    assert after is not None and after.x < 0


def test_given_paths_are_as_many_as_objects():
    with pytest.raises(ValueError, match="a scene of 2 objects needs as many paths, got 1"):
        ScriptedScene(SceneScript(width=160, height=120), [[]])


def test_two_targets_pass_each_other():
    scene = ScriptedScene(SceneScript(frames=1500, targets=2, crossings=5, seed=1))
    swapped = 0
    for crossing in scene.crossings():
        ends = (max(crossing.start - 12, 0), min(crossing.end + 12, 1499))
        sides = [np.sign(scene.box(index, 0).x - scene.box(index, 1).x) for index in ends]
        swapped += sides[0] != sides[1]
    assert swapped >= 5


def test_a_turning_camera_moves_the_background():
    still = ScriptedScene(SceneScript(width=160, height=120, frames=300, targets=1, seed=5))
    turning = ScriptedScene(SceneScript(width=160, height=120, frames=300, targets=1, seed=5, camera_turn=0.3))
    assert np.abs(still.frame(0).astype(int) - still.frame(100)).mean() < 12
    assert np.abs(turning.frame(0).astype(int) - turning.frame(100)).mean() > 20
    shift = still.box(100).x - turning.box(100).x
    assert shift == pytest.approx(0.3 * 160 * np.sin(2 * np.pi * 100 / 400))


@pytest.mark.parametrize("index", [0, 200, 420])
def test_the_truth_is_where_the_pixels_are(index):
    """Against the same scene without the target, the difference fills the visible part of the box and nothing else."""
    scene, empty = ScriptedScene(BUSY), ScriptedScene(BUSY)
    for target in range(2):
        box = scene.box(index, target)
        empty._boxes[target] = np.full_like(scene._boxes[target], np.nan)
        difference = np.abs(scene.frame(index).astype(int) - empty.frame(index)).max(axis=2) > 3
        empty._boxes[target] = scene._boxes[target]
        seen = scene.visibility(index, target)
        if box is None or not seen:
            assert not difference.any()
            continue
        assert difference.sum() == pytest.approx(seen * box.w * box.h, rel=0.2, abs=25)
        rows, columns = np.nonzero(difference)
        assert rows.min() >= box.y - 1 and rows.max() <= box.y + box.h
        assert columns.min() >= box.x - 1 and columns.max() <= box.x + box.w


def test_look_alikes_differ_by_as_much_as_was_asked_for():
    def distance(difference: float) -> float:
        scene = ScriptedScene(SceneScript(look_alikes=1, targets=1, look_alike_difference=difference))
        return float(np.abs(scene._patches[0].astype(int) - scene._patches[1]).mean())

    assert distance(0.0) == 0.0
    assert 0 < distance(0.3) < distance(0.6) < distance(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": 0}, "targets must be from 1"),
        ({"width": 10}, "width must be from 64"),
        ({"absences": 5, "frames": 200}, "need at least"),
        ({"absence_frames": (9, 2)}, "must rise"),
        ({"camera_turn": float("nan")}, "camera_turn"),
        ({"seed": -1}, "seed"),
    ],
)
def test_an_impossible_script_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SceneScript(**change)


boxes = st.builds(
    Box, *[st.integers(-8, 24)] * 2, *[st.integers(1, 20)] * 2
)  # whole numbers: counting pixels is then exact


@settings(deadline=None)
@given(box=boxes, coverers=st.lists(boxes, max_size=5))
def test_the_uncovered_share_is_what_counting_pixels_gives(box, coverers):
    free = 0
    for x in range(int(box.x), int(box.x + box.w)):
        for y in range(int(box.y), int(box.y + box.h)):
            inside = 0 <= x < 20 and 0 <= y < 16
            free += inside and not any(c.x <= x < c.x + c.w and c.y <= y < c.y + c.h for c in coverers)
    assert uncovered_share(box, (20, 16), coverers) == pytest.approx(free / (box.w * box.h))
