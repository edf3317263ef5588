"""Images as a moving camera takes them, drawn here."""

from __future__ import annotations

import cv2
import numpy as np

from trdimp_ros.tracking.similarity import Similarity


def background(height: int = 240, width: int = 320, seed: int = 0) -> np.ndarray:
    """Coloured noise (height, width, 3) uint8 with many corners."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 12, width // 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def warped(image: np.ndarray, motion: Similarity) -> np.ndarray:
    """The image after a motion of the camera; what comes into sight is a reflection."""
    matrix = np.array([[motion.a, -motion.b, motion.shift_x], [motion.b, motion.a, motion.shift_y]])
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    """The image with noise of three grey levels."""
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)
