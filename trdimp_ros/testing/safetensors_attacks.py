"""Files of right weights with a wrong header, a wrong architecture or unusable numbers."""

from __future__ import annotations

import io
import json
import math

import torch
from safetensors.torch import save

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.testing.weights_files import (
    MINUTE_NETWORK,
    safetensors,
)

NETWORK_STATE = {name: value.clone() for name, value in TrDiMPNet(MINUTE_NETWORK).state_dict().items()}
ARCHITECTURE = json.loads(MINUTE_NETWORK.to_json())
WEIGHT = "classifier.filter_initializer.filter_conv.weight"
VARIANCE = "feature_extractor.bn1.running_var"
COUNT = "feature_extractor.bn1.num_batches_tracked"


def architecture_attacks() -> dict[str, tuple[bytes, str]]:
    """.safetensors files with an architecture that is none: name -> file, pattern of the refusal."""

    def with_architecture(value: str) -> bytes:
        """Weights that are right for the architecture before it was changed."""
        return save(NETWORK_STATE, metadata={"architecture": value})

    def changed(part: str, **fields: object) -> bytes:
        architecture = json.loads(MINUTE_NETWORK.to_json())
        (architecture[part] if part else architecture).update(fields)
        return with_architecture(json.dumps(architecture))

    attacks = {
        "nested": (with_architecture('{"backbone":' * 1200 + "1" + "}" * 1200), "nested too deeply|no JSON"),
        "nested lists": (with_architecture('{"backbone":' + "[" * 8000 + "]" * 8000 + "}"), "nested too deeply"),
        "a megabyte": (with_architecture('{"backbone": "' + "x" * 1_000_000 + '"}'), "header|characters"),
        "a long list": (changed("backbone", stage_widths=[1] * 5000), "long list"),
        "a list": (with_architecture("[]"), "no JSON object"),
        "a number": (with_architecture("1" * 10_000), "too long"),
        "no JSON": (with_architecture("{"), "no JSON"),
        "a key twice": (with_architecture('{"a": 1, "a": 1}'), "twice"),
        "empty": (with_architecture("{}"), "cannot be used"),
        "control characters": (with_architecture('{"\x1b[2J": 1}'), "damaged|cannot be used"),
        "an unknown field": (changed("", surprise=1), "cannot be used"),
        "no backbone": (changed("", backbone=None), "cannot be used"),
        "a million blocks": (changed("backbone", stage_depths=[10**6, 1, 1]), "stage_depths|depth"),
        "wide stages": (changed("backbone", stage_widths=[2, 2, 10**6]), "stage_widths|width"),
        "a NaN": (with_architecture(json.dumps(ARCHITECTURE | {"bin_width": math.nan})), "not a number"),
    }
    strange: dict[str, tuple[object, ...]] = {
        "filter_size": (0, -4, 100_000, 10**30, 4.5, "4", None, True, [4]),
        "feature_channels": (0, 10**6, 2.5, "x"),
        "key_channels": (0, 10**6, 2.5),
        "distance_bins": (1, 10**6, 10**9, 3.0),
        "iou_channels": (0, 10**6, None),
        "bin_width": (0, -1, 1e300, 1e-300, "0.1", True, None),
        "block": ("huge", 1, None, ["basic"]),
        "stem_width": (0, 10**6, 1.5, "2", True),
        "stage_widths": ([], [2, 2], [2, 2, 0], [2, 2, 2.5], "222", 2, {"a": 1}, [[2], 2, 2]),
        "stage_depths": ([1, 1], [1, 1, -1], [1, 1, True], None),
        "classes": (-1, 10**7, 0.5),
    }
    for field, values in strange.items():
        part = "backbone" if field in ARCHITECTURE["backbone"] else ""
        for value in values:
            pattern = f"{field}|backbone|beyond all networks|too long|nested"
            attacks[f"{field} = {value!r}"] = (changed(part, **{field: value}), pattern)
    return {f"architecture: {name}": attack for name, attack in attacks.items()}


def safetensors_attacks() -> dict[str, tuple[bytes, str]]:
    """.safetensors files: name -> file, pattern of the refusal."""
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    plain = {"architecture": MINUTE_NETWORK.to_json()}

    def with_state(**changes: torch.Tensor) -> bytes:
        return save(NETWORK_STATE | changes, metadata=plain)

    def with_value(name: str, value: float, dtype: torch.dtype | None = None) -> bytes:
        changed = NETWORK_STATE[name].clone().to(dtype or NETWORK_STATE[name].dtype)
        changed.view(-1)[-1] = value
        return with_state(**{name: changed})

    weight = NETWORK_STATE[WEIGHT]
    return {
        "a header longer than the file": (safetensors({}, length=2**63), "header would have"),
        "a header of 50 megabytes": (safetensors("[" * 50_000_000), "header would have"),
        "a nested header": (safetensors("[" * 1_000_000), "nested too deeply"),
        "a header that is a list": (safetensors([]), "no JSON object"),
        "a header without metadata": (safetensors({"x": one}, bytes(4)), "no architecture"),
        "metadata that are no texts": (safetensors({"__metadata__": {"a": 1}}), "no texts"),
        "metadata that are a list": (safetensors({"__metadata__": [1]}), "no texts"),
        "a tensor that is a list": (safetensors({"x": [1]}), "a type"),
        "an unhashable type": (safetensors({"x": one | {"dtype": [[]]}}, bytes(4)), "a type"),
        "a shape of fractions": (safetensors({"x": one | {"shape": [1.0]}}, bytes(4)), "no shape"),
        "a negative shape": (safetensors({"x": one | {"shape": [-1]}}, bytes(4)), "no shape"),
        "a shape beyond the bytes": (safetensors({"x": one | {"shape": [2**35]}}, bytes(4)), "bytes of its shape"),
        "offsets beyond the file": (
            safetensors({"__metadata__": plain, "x": one | {"shape": [2**35], "data_offsets": [0, 2**37]}}, bytes(4)),
            "truncated",
        ),
        "tensors on top of each other": (
            safetensors({"__metadata__": plain, **{f"x{index}": one for index in range(1000)}}, bytes(4)),
            "overlap",
        ),
        "bytes behind the tensors": (safetensors({"__metadata__": plain, "x": one}, bytes(8)), "truncated"),
        "control characters in a tensor's name": (
            save(NETWORK_STATE | {"\x1b[31m\n": torch.ones(1)}, metadata=plain),
            r"\\x1b\[31m\\n",
        ),
        "a long name of a tensor": (
            save(NETWORK_STATE | {"x" * 200_000: torch.ones(1)}, metadata=plain),
            "unexpected x",
        ),
        "NaN": (with_value(WEIGHT, math.nan), "not finite"),
        "infinity": (with_value(WEIGHT, math.inf), "not finite"),
        "NaN in float16": (with_value(WEIGHT, math.nan, torch.float16), "not finite"),
        "a float64 that overflows": (with_value(WEIGHT, 1e300, torch.float64), "not finite"),
        "a negative variance": (with_value(VARIANCE, -0.1), "negative variance"),
        "int8 weights": (with_state(**{WEIGHT: weight.to(torch.int8)}), "torch.int8"),
        "bool weights": (with_state(**{WEIGHT: weight.to(torch.bool)}), "torch.bool"),
        "complex weights": (with_state(**{WEIGHT: weight.to(torch.complex64)}), "a type"),
        "a count of fractions": (with_state(**{COUNT: torch.tensor(1.5)}), "torch.float32"),
    }


def checkpoint_number_attacks() -> dict[str, tuple[bytes, str]]:
    """Checkpoints with numbers that are none: name -> file, pattern of the refusal."""

    def saved(**changes: torch.Tensor) -> bytes:
        buffer = io.BytesIO()
        torch.save({"net": NETWORK_STATE | changes}, buffer)
        return buffer.getvalue()

    weight = NETWORK_STATE[WEIGHT]
    return {
        "NaN in a checkpoint": (saved(**{WEIGHT: torch.full_like(weight, math.nan)}), "not finite"),
        "a negative variance in a checkpoint": (
            saved(**{VARIANCE: -torch.ones_like(NETWORK_STATE[VARIANCE])}),
            "negative variance",
        ),
        "int8 weights in a checkpoint": (saved(**{WEIGHT: weight.to(torch.int8)}), "torch.int8"),
        "complex weights in a checkpoint": (saved(**{WEIGHT: weight.to(torch.complex64)}), "kind that a network"),
        "a float64 that overflows in a checkpoint": (
            saved(**{WEIGHT: torch.full(weight.shape, 1e300, dtype=torch.float64)}),
            "not finite",
        ),
    }
