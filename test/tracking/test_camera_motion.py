"""Following the camera: still video gives the identity, each target has its own motion, seen ones rarely need it."""

from __future__ import annotations

import numpy as np
import pytest

from trdimp_ros.testing.camera_images import background, noisy, warped
from trdimp_ros.tracking.camera_motion import ATTENTION, PROBE, CameraMotion
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.image_motion import NO_ESTIMATE
from trdimp_ros.tracking.similarity import IDENTITY, Similarity

NOWHERE = {"target": None}


def motion_of(camera: CameraMotion, image: np.ndarray) -> Similarity:
    return camera.update(image, NOWHERE)["target"].motion


@pytest.mark.parametrize("mode", ["on", "auto"])
def test_the_same_image_again_gives_exactly_the_identity(mode):
    camera, image = CameraMotion(mode), background()
    for _ in range(3):
        assert motion_of(camera, image) == IDENTITY


def test_noise_on_still_video_gives_exactly_the_identity():
    camera, image = CameraMotion("auto"), background()
    assert all(motion_of(camera, noisy(image, seed)) == IDENTITY for seed in range(40))


def test_a_turn_too_slow_for_one_image_adds_up():
    camera, total = CameraMotion("auto"), IDENTITY
    image = background(240, 640)
    applied = []
    for index in range(30):
        estimate = camera.update(warped(image, Similarity(shift_x=0.3 * index)), NOWHERE)["target"]
        applied.append(estimate.motion != IDENTITY)
        total = estimate.motion.after(total)
    assert not all(applied[1:])
    assert total.shift_x == pytest.approx(0.3 * 29, abs=2.0)  # what is left is less than noise
    assert total.shift_y == pytest.approx(0.0, abs=0.5)


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(background(seed=5), id="a cut to another scene"),
        pytest.param(np.zeros((240, 320, 3), np.uint8), id="a black image"),
        pytest.param(background(120, 160), id="another size"),
        pytest.param(np.zeros((8, 8, 3), np.uint8), id="tiny"),
        pytest.param(np.rot90(background(240, 320)[:, :240], axes=(0, 1)).copy(), id="a quarter turn"),
    ],
)
def test_what_cannot_be_trusted_is_the_identity(later):
    camera = CameraMotion("on")
    motion_of(camera, background())
    estimate = camera.update(later, NOWHERE)["target"]
    assert not estimate.trusted
    assert estimate.motion == IDENTITY


def test_off_looks_at_nothing():
    camera = CameraMotion("off")
    image = background()
    motion_of(camera, image)
    assert motion_of(camera, warped(image, Similarity(shift_x=9.0))) == IDENTITY


def test_what_was_forgotten_starts_with_the_next_image():
    camera, image = CameraMotion("on"), background()
    motion_of(camera, image)
    camera.forget("target")
    assert motion_of(camera, warped(image, Similarity(shift_x=9.0))) == IDENTITY
    assert motion_of(camera, image).shift_x == pytest.approx(-9.0, abs=1.0)


def test_targets_that_were_in_different_images_last_each_have_their_own_motion():
    """One that catches up with the present looks at images of the past in between."""
    camera, image = CameraMotion("on"), background()
    frames = [warped(image, Similarity(shift_x=4.0 * index)) for index in range(4)]
    camera.update(frames[0], {"late": None, "present": None})
    camera.update(frames[3], {"present": None})
    camera.update(frames[1], {"late": None})
    motions = camera.update(frames[3], {"late": None, "present": None})
    assert motions["late"].motion.shift_x == pytest.approx(8.0, abs=0.5)
    assert motions["present"].motion == IDENTITY


@pytest.mark.parametrize("seen", [set(), {"large"}])
@pytest.mark.parametrize("asked", ["large", "lost"])
def test_what_moves_in_any_targets_box_does_not_count(asked, seen):
    """The large one fills two thirds of the image, with most of the corners, and moves; the camera does not."""
    image, box = background(), Box(50, 5, 220, 230)
    later = image.copy()
    later[5:235, 50:270] = np.roll(image, 8, axis=1)[5:235, 50:270]
    camera, boxes = CameraMotion("on"), {"large": box, "lost": None}
    camera.update(image, boxes, seen)
    estimate = camera.update(later, boxes, seen)[asked]
    assert estimate.trusted
    assert estimate.motion.displacement(320, 240) < 1.0


def estimated(camera: CameraMotion, images: list[np.ndarray], seen: set[str], side: float = 20.0) -> list[bool]:
    """In which images the camera's motion was looked for."""
    boxes = {"target": Box(300, 100, side, side)}
    return [camera.update(image, boxes, seen)["target"] is not NO_ESTIMATE for image in images]


def turned(steps: list[float]) -> list[np.ndarray]:
    """Images of a camera that moves them by so many pixels from one to the next."""
    wide = background(240, 640)
    return [noisy(warped(wide, Similarity(shift_x=float(place))), int(place)) for place in np.cumsum(steps)]


def test_for_a_target_that_is_seen_a_quiet_camera_is_looked_at_now_and_then():
    camera = CameraMotion("auto")
    camera.update(background(240, 640), NOWHERE)
    looked = estimated(camera, turned([2.0] * 30), {"target"})
    assert sum(looked[10:]) <= 10
    assert all(any(looked[index : index + PROBE]) for index in range(30 - PROBE))


def test_a_target_that_is_not_seen_and_the_mode_on_ask_in_every_image():
    for mode, seen in (("auto", set()), ("on", {"target"})):
        camera = CameraMotion(mode)
        camera.update(background(240, 640), NOWHERE)
        assert all(estimated(camera, turned([2.0] * 20), seen))


@pytest.mark.parametrize(("side", "follows"), [(60.0, True), (200.0, False)])
def test_a_camera_that_throws_the_target_out_of_place_is_followed_for_some_images(side, follows):
    camera = CameraMotion("auto")
    camera.update(background(240, 640), NOWHERE)
    looked = estimated(camera, turned([1.0] * 21 + [40.0] + [0.0] * 20), {"target"}, side)
    assert looked[21], "the image changes more than usual"
    assert all(looked[21 : 21 + ATTENTION]) == follows
    assert looked[21 + ATTENTION :].count(False) > 5, "and then no longer"
