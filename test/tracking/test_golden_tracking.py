"""Cropping, augmentation, localisation, memories and geometry against the original's numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from trdimp_ros.testing.golden_set import skip_in_small_set
from trdimp_ros.tracking import TrackerConfig, augmentation
from trdimp_ros.tracking.cropping import sample_patch
from trdimp_ros.tracking.filter_memory import SampleWeights
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.geometry import (
    centered_sample_position,
    polygon_to_box,
    sample_box,
    sample_location,
    scale_bounds,
)
from trdimp_ros.tracking.localization import Thresholds, hann_window, localize
from trdimp_ros.tracking.refinement import from_relative, to_relative


def test_golden_crops(golden):
    images = {
        name: golden[f"sample_patch/image{name}"].numpy() for name in "ABC" if f"sample_patch/image{name}" in golden
    }
    cases = golden.json("sample_patch/cases")
    assert cases
    golden.check("sample_patch/coords", np.array([case["coords"] for case in cases]))
    for index, case in enumerate(cases):
        patch, coordinates = sample_patch(
            images[case["image"]],
            np.array(case["pos"], np.float32),
            np.array(case["sample_sz"], np.float32),
            tuple(case["output_sz"]) if case["output_sz"] else None,
            case["mode"],
            case["max_scale_change"],
        )
        assert list(coordinates) == case["coords"], f"case {index}: {case}"
        golden.check(f"sample_patch/patch_{index:02d}", patch)


def view_of(case: dict) -> augmentation.View:
    size = tuple(case["output_sz"]) if case["output_sz"] else None
    row, column = case["shift"] or (0, 0)
    arguments, name = case["args"], case["transform"]
    if name == "Translation":
        moved = arguments["translation"]
        return augmentation.Translation(size, (row + moved[0], column + moved[1]))
    if name == "Identity":
        return augmentation.Translation(size, (row, column))
    if name == "FlipHorizontal":
        return augmentation.FlipHorizontal(size, (row, column))
    if name == "Blur":
        sigma = arguments["sigma"]
        pair = tuple(sigma) if isinstance(sigma, list) else (sigma, sigma)
        return augmentation.Blur(pair, size, (row, column))
    if name == "Rotate":
        return augmentation.Rotation(arguments["angle"], size, (row, column))
    assert name == "Scale", name
    return augmentation.Scale(arguments["scale_factor"], size, (row, column))


def test_golden_augmentation(golden):
    skip_in_small_set(golden, "augment/input")
    image = golden["augment/input"]
    cases = golden.json("augment/cases")
    assert cases
    for index, case in enumerate(cases):
        view = view_of(case)
        assert list(view.shift) == case["total_shift"], f"case {index}: {case}"
        golden.check(f"augment/out_{index:02d}", view(image))


def test_golden_filter_memory_weights(golden):
    traces = golden.groups(r"(memory/\w+)/weights")
    assert traces
    for trace in traces:
        expected = golden[f"{trace}/weights"]
        if trace.endswith("lr1"):
            weights = SampleWeights(expected.shape[0], 15)
            assert weights.add(1.0, 0.25) == golden[f"{trace}/replace_ind"].item()
            golden.check(f"{trace}/weights", weights.values)
            continue
        minimum = golden.inputs(f"{trace}/weights")["minimum_weight"]
        rates = golden["memory/learning_rates_fast" if "fast" in trace else "memory/learning_rates"].tolist()
        weights = SampleWeights(expected.shape[1], 15)
        rows, slots, stored = [weights.values.copy()], [], []
        content = np.zeros(expected.shape[1], np.float32)
        for number, rate in enumerate(rates, start=1):
            slots.append(weights.add(rate, minimum))
            content[slots[-1]] = number
            rows.append(weights.values.copy())
            stored.append(weights.stored)
        assert slots == golden[f"{trace}/replace_ind"].tolist()
        golden.check(f"{trace}/weights", np.stack(rows))
        golden.check(f"{trace}/content", content)
        if f"{trace}/num_stored" in golden:
            assert stored == golden[f"{trace}/num_stored"].tolist()


def thresholds_of(parameters: dict) -> Thresholds:
    renamed = {"displacement_scale": parameters["dispalcement_scale"], **parameters}
    return Thresholds(*(torch.tensor(float(renamed.get(name, 0.0))) for name in Thresholds._fields))


class Searched(NamedTuple):
    """A `SearchedPlaces`."""

    sample_positions: torch.Tensor
    sample_scales: torch.Tensor
    position: torch.Tensor
    size: torch.Tensor


def settings_of(**changes) -> FrameSettings:
    return FrameSettings.from_config(TrackerConfig(**changes), filter_size=4, attended_frames=1)


def test_golden_localization(golden):
    groups = golden.groups(r"(localize/\w+)/params")
    assert groups
    for group in groups:
        parameters = golden.json(f"{group}/params")
        search = Searched(*(golden[f"{group}/{name}"] for name in ("sample_pos", "sample_scale", "pos", "target_sz")))
        settings = settings_of(
            image_sample_size=parameters["image_sample_size"],
            window_output=bool(parameters.get("window_output")),
            perform_hn_without_windowing=bool(parameters.get("perform_hn_without_windowing")),
        )
        # All cases at once, as if they were targets.
        result = localize(golden[f"{group}/scores"], search, thresholds_of(parameters), settings)
        golden.check(f"{group}/branch", result.rule)
        golden.check(f"{group}/flag", result.state)
        golden.check(f"{group}/scale_ind", result.scale_index)
        golden.check(f"{group}/translation", result.displacement)


def test_golden_localization_of_equal_peaks(golden):
    parameters = golden.json("localize/trdimp/params")
    scores = golden["localize/ties/scores"]
    count = len(scores)
    inputs = golden.inputs("localize/ties/scores")
    position = torch.tensor(inputs["position"]).expand(count, 2)
    search = Searched(
        position[:, None],
        torch.full((count, 1), inputs["sample_scale"]),
        position,
        torch.tensor(inputs["target_size"]).expand(count, 2),
    )
    result = localize(scores, search, thresholds_of(parameters), settings_of())
    golden.check("localize/ties/branch", result.rule)
    golden.check("localize/ties/flag", result.state)
    golden.check("localize/ties/translation", result.displacement)


def test_golden_plain_localization(golden):
    parameters = golden.json("localize/trdimp/params")
    scores = golden["localize/plain/scores"]
    count, scales = scores.shape[:2]
    search = Searched(
        torch.zeros(count, scales, 2),
        torch.tensor(golden.inputs("localize/plain/scores")["sample_scales"]).expand(count, scales),
        torch.zeros(count, 2),
        torch.ones(count, 2),
    )
    result = localize(scores, search, thresholds_of(parameters), settings_of(advanced_localization=False))
    golden.check("localize/plain/translation", result.displacement)
    golden.check("localize/plain/scale_ind", result.scale_index)


def test_golden_window(golden):
    for size in (23, 15):
        golden.check(f"window/hann_{size}", hann_window((size, size), torch.device("cpu")))


def test_golden_geometry(golden):
    boxes = golden["geometry/rect"]
    relative = to_relative(boxes, boxes[0, 2:])
    golden.check("geometry/rel_norm", relative)
    golden.check("geometry/rect_back", from_relative(relative, boxes[0, 2:]))
    relative = to_relative(boxes, boxes[:, 2:])
    golden.check("geometry/rel_self", relative)
    golden.check("geometry/rect_back_self", from_relative(relative, boxes[:, 2:]))

    case = [golden[f"geometry/iounet_box/{name}"].numpy() for name in ("pos", "sz", "sample_pos", "sample_scale")]
    found = [sample_box(*one[:3], one[3].item(), 352) for one in zip(*case, strict=True)]
    golden.check("geometry/iounet_box/out", np.stack(found))

    locations = [sample_location(row.tolist(), 352) for row in golden["geometry/location/coords"]]
    golden.check("geometry/location/pos", np.stack([position for position, _ in locations]))
    golden.check("geometry/location/scale", np.stack([scale for _, scale in locations]))

    inputs = golden.inputs("geometry/centered_pos")
    position = np.array(inputs["position"], np.float32)
    centers = [
        centered_sample_position(position, inputs["scale"], inputs["sample_size"], *pair)
        for pair in inputs["feature_and_filter_sizes"]
    ]
    golden.check("geometry/centered_pos", np.stack(centers))
    inputs = golden.inputs("geometry/update_state")
    base_size = np.array(inputs["base_size"], np.float32)
    image_size = tuple(int(number) for number in inputs["image_size"])
    golden.check("geometry/scale_bounds", np.array(scale_bounds(base_size, image_size), np.float32))

    polygons = golden["geometry/vot_polygon"].tolist()
    golden.check("geometry/vot_rect_area", np.array([polygon_to_box(polygon) for polygon in polygons]))
    golden.check("geometry/vot_rect_union", np.array([polygon_to_box(polygon, False) for polygon in polygons]))
