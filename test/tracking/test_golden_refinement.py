"""Box refinement and the update of position and size against the original's numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.testing.golden_set import skip_in_small_set
from trdimp_ros.tracking import State, TrackerConfig
from trdimp_ros.tracking.box_stage import BoxQuestion, refine_boxes
from trdimp_ros.tracking.cropping import sample_patch
from trdimp_ros.tracking.frame_decision import FrameDecision
from trdimp_ros.tracking.frame_pass import box_at_peak, decide_box, follow_scale
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.host_inputs import (
    FrameInputs,
    FrameUpload,
    ParameterInputs,
    ParameterUpload,
    parameter_inputs,
)
from trdimp_ros.tracking.localization import Localization, Rule
from trdimp_ros.tracking.refinement import ascend


@pytest.fixture
def scorer_and_features(golden):
    skip_in_small_set(golden, "iounet/layer2")
    regressor = golden.network.bb_regressor
    layers = golden["iounet/layer2"], golden["iounet/layer3"]
    modulation = regressor.modulation(*layers, golden["iounet/ref_box"])
    scorer = BoxScorer(regressor)
    scorer.set_modulation(0, (modulation[0][0], modulation[1][0]))
    return scorer, regressor.search_features(*layers)


def found(state: State, displacement: torch.Tensor) -> Localization:
    rule, number = torch.tensor([int(Rule.NORMAL)]), torch.tensor([int(state)])
    scores = torch.zeros(1, 23, 23)
    return Localization(rule, number, torch.tensor([0]), displacement.view(1, 2), scores, torch.ones(1))


def settings_of(config: TrackerConfig) -> FrameSettings:
    return FrameSettings.from_config(config, filter_size=4, attended_frames=1)


def parameters_on_device(config: TrackerConfig) -> ParameterInputs[torch.Tensor]:
    upload = ParameterUpload(ParameterInputs, torch.device("cpu"))
    upload.fill(parameter_inputs(config))
    return upload.tensors


def inputs_on_device(config: TrackerConfig, **values) -> FrameInputs[torch.Tensor]:
    lengths = {"scales": 1, "side": config.image_sample_size, "candidates": config.num_init_random_boxes}
    upload = FrameUpload(FrameInputs, torch.device("cpu"), 1, **lengths)
    defaults = {"image_size": [10000, 10000], "scale_bounds": [0.01, 100], "base_size": [1, 1], "scale": [1.2]}
    zeros = {name: tensor[0].numpy() for name, tensor in vars(upload.tensors).items()}
    upload.fill(FrameInputs(**(zeros | defaults | values)), target=0)
    return upload.tensors


def test_golden_ascent(golden, scorer_and_features):
    scorer, features = scorer_and_features
    maps = scorer.prepare(features)
    runs = golden.groups(r"iounet/opt_(\w+?)/boxes")
    assert runs
    for run in runs:
        for key in (key for key in golden.keys if key.startswith(f"iounet/opt_{run}/boxes_")):
            steps = golden.inputs(key)
            position, size, decay = steps["position_step"], steps["size_step"], steps["decay"]
            iterations = int(key.rsplit("_", 1)[1])
            config = TrackerConfig(
                box_refinement_iter=iterations,
                box_refinement_space=steps["space"],
                box_refinement_step_length=position,
                box_refinement_size_step_length=size,
                box_refinement_step_decay=decay,
            )
            boxes, scores = ascend(
                scorer,
                maps,
                golden["iounet/proposals"].view(1, -1, 4),
                settings_of(config),
                torch.tensor([position, position, size, size]),
                torch.tensor(decay),
            )
            golden.check(key, boxes[0])
            golden.check(f"iounet/opt_{run}/iou_{iterations}", scores[0])


def test_golden_refined_box(golden, scorer_and_features):
    scorer, features = scorer_and_features
    cases = golden.inputs("refine/out")["cases"]
    rows = golden["refine/out"]
    assert len(cases) == len(rows)
    sample_position = golden["refine/sample_pos"]
    for case, expected in zip(cases, rows, strict=True):
        config = replace(TrackerConfig(), update_scale_when_uncertain=case["update_scale"], **case["changes"])
        state = State.NORMAL if case["update_scale"] else State.UNCERTAIN
        frame = inputs_on_device(
            config,
            position=golden["refine/pos"],
            size=golden["refine/target_sz"],
            base_size=golden["refine/base_target_sz"],
            sample_positions=sample_position,
            sample_scales=golden["refine/sample_scale"],
            uniform=golden["refine/uniform"][: config.num_init_random_boxes],
        )
        at_peak, settings = found(state, golden["refine/pos"] - sample_position), settings_of(config)
        start = box_at_peak(at_peak, frame, settings)
        question = BoxQuestion(start, frame.uniform, 0, parameters_on_device(config), settings)
        packed = decide_box(refine_boxes(scorer, scorer.prepare(features), question), at_peak, frame, settings)
        decision = FrameDecision.from_packed(packed[0].numpy())
        untouched = expected[5] == -1
        remembered = expected[:2] if untouched else expected[5:]
        actual = np.concatenate([decision.learn_position, decision.size, [decision.scale], decision.position])
        wanted = np.concatenate([expected[:5], remembered])
        assert np.abs(actual - wanted).max() <= golden.tolerance("refine/out"), case["name"]


def test_golden_update_of_position_and_scale(golden):
    inputs = golden.inputs("geometry/update_state")
    before = {name: inputs[name] for name in ("size", "base_size", "image_size")}
    low, high = golden["geometry/scale_bounds"].tolist()
    rows = []
    for case in inputs["cases"]:
        scale = inputs["scale"] if case["scale"] is None else case["scale"]
        frame = inputs_on_device(
            TrackerConfig(),
            **before,
            position=(0, 0),
            scale_bounds=(low, high),
            sample_positions=(0, 0),
            sample_scales=[scale],
        )
        decision = FrameDecision.from_packed(
            follow_scale(found(State.NORMAL, torch.tensor(case["position"], dtype=torch.float32)), frame)[0].numpy()
        )
        rows.append(np.concatenate([decision.position, decision.size, [decision.scale]]))
    golden.check("geometry/update_state", np.stack(rows))


def test_golden_search_areas_of_several_scales(golden):
    skip_in_small_set(golden, "sample_patch/multi_patch")
    image = golden["sample_patch/imageA"].numpy()
    inputs = golden.inputs("sample_patch/multi_coords")
    center, sample = np.array(inputs["center"], np.float32), inputs["sample_size"]
    patches, coordinates = [], []
    for scale in inputs["scales"]:
        size = np.full(2, np.float32(scale) * np.float32(sample), np.float32)
        patch, where = sample_patch(image, center, size, (sample, sample), "inside_major", 1.5)
        patches.append(patch)
        coordinates.append(where)
    golden.check("sample_patch/multi_coords", np.array(coordinates))
    golden.check("sample_patch/multi_patch", torch.cat(patches))
