"""Reproducible weights for a network that nobody has trained.

They mean nothing, but activations are of order 1 and the tracker holds on to an easy target, because the online learned
filter does the work. They serve tests, benchmarks and a first look while no trained weights are at hand:

- backbone kernels are mostly smooth in space, those wider than 3x3 are low-pass, and residual branches are weak;
- the classification feature's convolution is centre-surround, which removes what all locations have in common;
- the filter initialiser is close to a multiple of the identity, so that it yields a template;
- the filter optimiser's radial functions have their analytic values.

Each tensor is drawn from a stream of its own, seeded by its name, with additions, multiplications and square roots
only: the numbers are the same on every platform.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from importlib import resources

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.models import TrDiMPNet

LABEL_DEVIATION = 22.0 / 24.0
"""Standard deviation of the filter optimiser's label, in feature cells."""

MASK_AMPLITUDE = 3.0
STEP_LENGTH = 0.9
FILTER_REGULARIZATION = 0.1

BIAS = 0.02
NORM_JITTER = 0.05
RESIDUAL_GAIN = 0.3
SMOOTH_SHARE = 0.9
SURROUND = 0.8
TEMPLATE_GAIN = 0.6

GAINS = (
    (r"\.W[KV]\.", 1.0, 5e-4),
    (r"^classifier\.filter_initializer\.", 0.1, 1e-3),
    (r"^bb_regressor\.iou_predictor\.", 0.4, 0.5),
)
"""Name pattern, gain on the standard deviation sqrt(2 / fan in), half-width of the bias; the first match counts."""

BACKBONE = "feature_extractor."
DECODER_SELF = "classifier.transformer.decoder.layers.0.self_attn."
ENCODER_SELF = "classifier.transformer.encoder.layers.0.self_attn."
"""One module under two names, so both hold the same numbers."""


def untrained_state_dict(
    network: TrDiMPNet, statistics: Mapping[str, NDArray[np.float32]], salt: str
) -> dict[str, torch.Tensor]:
    """Weights for every entry of the network's state dict.

    Args:
        network: Gives names and shapes.
        statistics: Running means and variances of all batch norms.
        salt: Another salt, other weights.
    """
    layout = network.state_dict()
    residual_norms = {id(norm.weight) for norm in network.backbone.residual_norms()}
    residual = {name for name, parameter in network.named_parameters() if id(parameter) in residual_norms}
    norms = {name.removesuffix("running_mean") for name in layout if name.endswith("running_mean")}
    state = {}
    for name, tensor in layout.items():
        stem, _, leaf = name.rpartition(".")
        shape = tuple(tensor.shape)
        if leaf == "num_batches_tracked":
            value = np.zeros(shape)
        elif leaf in ("running_mean", "running_var"):
            value = np.asarray(statistics[name], np.float64)
        elif f"{stem}." in norms:
            value = _norm_parameter(name, shape, salt, gain=RESIDUAL_GAIN if name in residual else 1.0)
        elif name.startswith("classifier.filter_optimizer."):
            value = _radial_function(name, shape, network.config.bin_width)
        elif leaf == "bias":
            value = _uniform(name, shape, salt) * _gain(name)[1]
        else:
            value = _weight(name, shape, salt)
        state[name] = torch.from_numpy(np.array(value, np.float64).reshape(shape)).to(tensor.dtype)
    return state


def packaged_statistics() -> tuple[dict[str, NDArray[np.float32]], str]:
    """The batch norm statistics of the default network, from real images, and the salt they belong to."""
    file = resources.files("trdimp_ros.checkpoints") / "untrained_batch_norm.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "salt"}, str(arrays["salt"])


def _uniform(name: str, shape: tuple[int, ...], salt: str) -> NDArray[np.float64]:
    """Numbers in [-1, 1) from the tensor's own stream."""
    if name.startswith(DECODER_SELF):
        name = ENCODER_SELF + name.removeprefix(DECODER_SELF)
    stream = np.random.RandomState(zlib.crc32((salt + name).encode()) & 0xFFFFFFFF)
    return (2.0 * stream.random_sample(math.prod(shape)) - 1.0).reshape(shape)


def _gain(name: str) -> tuple[float, float]:
    for pattern, gain, bias in GAINS:
        if re.search(pattern, name):
            return gain, bias
    return 1.0, BIAS


def _norm_parameter(name: str, shape: tuple[int, ...], salt: str, gain: float) -> NDArray[np.float64]:
    jitter = NORM_JITTER * _uniform(name, shape, salt)
    return jitter if name.endswith(".bias") else gain * (1.0 + jitter)


def _radial_function(name: str, shape: tuple[int, ...], bin_width: float) -> NDArray[np.float64]:
    """Analytic values of the filter optimiser's parameters, rounded so that every platform agrees."""
    leaf = name.removeprefix("classifier.filter_optimizer.")
    if leaf == "log_step_length":
        value = np.full(shape, math.log(STEP_LENGTH))
    elif leaf == "filter_reg":
        value = np.full(shape, FILTER_REGULARIZATION)
    elif leaf.startswith("spatial_weight"):
        value = np.ones(shape)
    else:
        distance = (np.arange(shape[1]) * bin_width).reshape(shape)
        if leaf.startswith("label_map"):
            value = np.exp(-0.5 * (distance / LABEL_DEVIATION) ** 2)
            value = value - value.min()
        else:
            value = MASK_AMPLITUDE * np.tanh(2.0 - distance)
    return np.round(value, 7)


def _weight(name: str, shape: tuple[int, ...], salt: str) -> NDArray[np.float64]:
    fan_in = math.prod(shape[1:])
    weight = _uniform(name, shape, salt) * (_gain(name)[0] * math.sqrt(3.0) * math.sqrt(2.0 / fan_in))
    if name.startswith(BACKBONE) and shape[2:] == (3, 3):
        blur = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 4.0
        return (1.0 - SMOOTH_SHARE) * weight + SMOOTH_SHARE * (weight[:, :, 1:2, 1:2] * blur)
    if name.startswith(BACKBONE) and len(shape) == 4 and shape[2] > 3:
        side = shape[2]
        taps = 2.0 * np.arange(side) / (side - 1)
        interpolation = np.maximum(0.0, 1.0 - np.abs(taps[:, None] - np.arange(3)))
        middle = slice(side // 2 - 1, side // 2 + 2)
        return np.einsum("yp,oipq,xq->oiyx", interpolation, weight[:, :, middle, middle], interpolation)
    if name == "classifier.feature_extractor.0.weight":
        center = 3.0 * weight[:, :, 1:2, 1:2]
        weight = np.repeat(np.repeat(center * (-SURROUND / 8.0), 3, axis=2), 3, axis=3)
        weight[:, :, 1:2, 1:2] = center
    elif name == "classifier.filter_initializer.filter_conv.weight":
        weight[:, :, shape[2] // 2, shape[3] // 2] += TEMPLATE_GAIN * np.eye(shape[0], shape[1])
    return weight
