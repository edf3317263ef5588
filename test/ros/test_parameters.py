"""What ROS is told of parameters, without a running node."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

import pytest
from rcl_interfaces.msg import ParameterType

from trdimp_ros.parameters import parameters_of, with_parameters
from trdimp_ros.ros.camera_node import CameraParameters
from trdimp_ros.ros.follow_node import FollowParameters
from trdimp_ros.ros.parameters import descriptor, plain_values
from trdimp_ros.ros.tracker_parameters import TrackerNodeParameters, tracker_defaults
from trdimp_ros.tracking import PRESETS, TrackerConfig

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_its_ros_values(name):
    config = tracker_defaults({"preset": name})
    assert config.tracker == PRESETS[name]
    known = parameters_of(TrackerNodeParameters)
    values = {key: known[key].kind.from_plain(key, value) for key, value in plain_values(config).items()}
    assert with_parameters(TrackerNodeParameters(), values) == config


def test_types_and_ranges_come_from_the_dataclass():
    descriptors = {name: descriptor(info) for name, info in parameters_of(TrackerNodeParameters).items()}
    tracker = {name for name in descriptors if name.startswith("tracker.")}
    assert tracker == {f"tracker.{spec.name}" for spec in dataclasses.fields(TrackerConfig)}
    rate = descriptors["tracker.learning_rate"]
    assert rate.type == ParameterType.PARAMETER_DOUBLE
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (0.0, 1.0)
    steps = descriptors["tracker.train_skipping"]
    assert steps.type == ParameterType.PARAMETER_INTEGER
    assert (steps.integer_range[0].from_value, steps.integer_range[0].to_value) == (1, 1000)
    blurs = descriptors["tracker.augmentation_blurs"]
    assert blurs.type == ParameterType.PARAMETER_DOUBLE_ARRAY
    assert blurs.additional_constraints == "must be at most 32 pairs of numbers from 0.05 to 20"
    assert descriptors["tracker.border_mode"].type == ParameterType.PARAMETER_STRING
    assert descriptors["model.threads"].type == ParameterType.PARAMETER_INTEGER
    assert "Fixed" in descriptors["tracker.image_sample_size"].description


@pytest.mark.parametrize("kind", [TrackerNodeParameters, FollowParameters, CameraParameters])
def test_every_parameter_has_a_description_that_is_a_sentence(kind):
    for name, info in parameters_of(kind).items():
        assert info.description.endswith("."), name
        assert not info.description.startswith("Of "), name


def test_a_preset_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"^preset must be one of trdimp, .*, got 'fast'$"):
        tracker_defaults({"preset": "fast"})


def test_the_parameter_file_is_up_to_date():
    spec = importlib.util.spec_from_file_location("writer", ROOT / "scripts" / "write_parameter_file.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert (ROOT / "config" / "tracker.yaml").read_text() == writer.text(), "run `make parameters`"
