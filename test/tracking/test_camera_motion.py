"""Camera motion: known warps are found, still video gives the identity, what cannot be trusted is said to be so."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trdimp_ros.tracking.camera_motion import ATTENTION, PROBE, CameraMotion
from trdimp_ros.tracking.geometry import Box
from trdimp_ros.tracking.image_motion import NO_ESTIMATE, estimate_motion, grey_copy
from trdimp_ros.tracking.similarity import IDENTITY, Similarity

NOWHERE = {"target": None}

numbers = st.floats(-300, 300)
similarities = st.builds(
    lambda scale, turn, x, y: Similarity(scale * math.cos(turn), scale * math.sin(turn), x, y),
    st.floats(0.3, 3.0),
    st.floats(-3.0, 3.0),
    numbers,
    numbers,
)


def background(height: int = 240, width: int = 320, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 12, width // 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def warped(image: np.ndarray, motion: Similarity) -> np.ndarray:
    matrix = np.array([[motion.a, -motion.b, motion.shift_x], [motion.b, motion.a, motion.shift_y]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def motion_of(camera: CameraMotion, image: np.ndarray) -> Similarity:
    return camera.update(image, NOWHERE)["target"].motion


@given(similarities, numbers, numbers)
def test_the_inverse_takes_a_point_back(motion, x, y):
    assert motion.inverse().apply(*motion.apply(x, y)) == pytest.approx((x, y), abs=1e-6)


@given(similarities, similarities, numbers, numbers)
def test_a_composition_applies_one_after_the_other(second, first, x, y):
    assert second.after(first).apply(x, y) == pytest.approx(second.apply(*first.apply(x, y)), abs=1e-6)


@given(similarities, similarities)
def test_scales_multiply_and_inverse_of_a_composition(second, first):
    assert second.after(first).scale == pytest.approx(second.scale * first.scale)
    there_and_back = second.after(first).after(second.after(first).inverse())
    assert there_and_back == pytest.approx(IDENTITY, abs=1e-6)


def test_a_similarity_of_scale_zero_has_no_inverse():
    with pytest.raises(ValueError, match="scale 0"):
        Similarity(0.0, 0.0, 1.0, 1.0).inverse()


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0.95, 1.05),
    st.floats(-0.1, 0.1),
    st.floats(-25, 25),
    st.floats(-20, 20),
    st.sampled_from([(240, 320), (480, 640), (720, 480)]),
)
def test_known_warps_are_found(scale, turn, x, y, size):
    height, width = size
    a, b = scale * math.cos(turn), scale * math.sin(turn)
    # About the middle, so that the numbers are those of a turning camera.
    cx, cy = width / 2, height / 2
    motion = Similarity(a, b, cx - a * cx + b * cy + x, cy - b * cx - a * cy + y)
    image = background(height, width)
    estimate = estimate_motion(grey_copy(image), grey_copy(warped(image, motion)))
    assert estimate.trusted
    for point in ((cx, cy), (0.2 * width, 0.3 * height), (0.8 * width, 0.7 * height)):
        assert math.dist(estimate.motion.apply(*point), motion.apply(*point)) < 1.5


def test_the_copy_is_small_and_a_small_image_keeps_its_size():
    large = grey_copy(np.zeros((1080, 1920, 3), np.uint8))
    assert large.pixels.shape == (108, 192)
    assert large.factor == 10
    assert grey_copy(np.zeros((60, 80, 3), np.uint8)).pixels.shape == (60, 80)


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


def test_what_moves_in_the_targets_box_does_not_count():
    image = background()
    later = image.copy()
    later[40:200, 60:260] = np.roll(image, 8, axis=1)[40:200, 60:260]
    box = Box(60, 40, 200, 160)
    estimate = estimate_motion(grey_copy(image), grey_copy(later), [box])
    assert estimate.trusted
    assert estimate.motion.displacement(320, 240) < 1.0


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


def test_the_targets_box_is_left_out_of_the_stream_too():
    camera, image = CameraMotion("on"), background()
    box = Box(60, 40, 200, 160)
    camera.update(image, {"target": box})
    later = image.copy()
    later[40:200, 60:260] = np.roll(image, 8, axis=1)[40:200, 60:260]
    assert camera.update(later, {"target": box})["target"].motion.displacement(320, 240) < 1.0


def test_the_answer_is_the_same_every_time():
    first, second = grey_copy(background()), grey_copy(noisy(warped(background(), Similarity(shift_x=5.0)), 1))
    cv2.setRNGSeed(1)
    one = estimate_motion(first, second)
    cv2.setRNGSeed(99)
    assert estimate_motion(first, second) == one


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


def test_other_targets_are_left_out_where_one_is_lost():
    """The other one fills half the image and moves; what is lost is where the background is."""
    image = background()
    box = Box(100, 40, 200, 180)
    later = image.copy()
    later[40:220, 92:292] = image[40:220, 100:300]
    camera = CameraMotion("auto")
    camera.update(image, {"lost": None, "other": box}, {"other"})
    for _ in range(2):
        estimate = camera.update(later, {"lost": None, "other": box}, {"other"})["lost"]
        assert estimate.motion == IDENTITY
