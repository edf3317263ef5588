"""Parameters and presets."""

from __future__ import annotations

import dataclasses
import math

import pytest

from trdimp_ros.parameters import Boolean, Choice, parameters_of
from trdimp_ros.tracking import PRESETS, TrackerConfig, preset


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rate", 1.5, "learning_rate must be a number from 0 to 1, got 1.5"),
        ("learning_rate", math.nan, "a number from 0 to 1, got nan"),
        ("train_skipping", 0, "from 1"),
        ("train_skipping", 2.5, "whole number"),
        ("use_iou_net", 1, "true or false"),
        ("border_mode", "outside", "replicate, inside, inside_major"),
        ("image_sample_size", 350, "multiple of 16"),
        ("sample_memory_size", 10, "15 initial views, got 10"),
        ("augmentation_rotations", (10.0, 999.0), "from -180 to 180"),
        ("scale_factors", (), "1 to 16 numbers from 0.5 to 2, got"),
        ("scale_factors", 1.0, "1 to 16 numbers from 0.5 to 2, got 1.0"),
        ("scale_factors", (1.0,) * 300, "1 to 16 numbers from 0.5 to 2, got"),
        ("augmentation_shifts", ((0.1,),), "at most 32 pairs of numbers from -1 to 1, got"),
        ("augmentation_shifts", (0.1, 0.1), "at most 32 pairs of numbers from -1 to 1, got"),
        ("augmentation_rotations", ((1.0, 2.0),), "at most 32 numbers from -180 to 180, got"),
        ("learning_rate", "fast", "number from 0 to 1, got 'fast'"),
    ],
)
def test_bad_values_are_refused_by_name(name, value, message):
    with pytest.raises(ValueError, match=message):
        TrackerConfig(**{name: value})


def test_every_parameter_is_described_and_numbers_have_a_range():
    for name, info in parameters_of(TrackerConfig).items():
        assert len(info.description) > 20, name
        if not isinstance(info.kind, (Boolean, Choice)):
            assert info.kind.minimum < info.kind.maximum, name


def test_presets_are_those_of_the_papers():
    vot = preset("trdimp_vot")
    assert (vot.image_sample_size, vot.search_area_scale, vot.initial_views, vot.initial_samples) == (224, 4.0, 10, 13)
    assert preset("trdimp").initial_samples == 15
    assert (
        preset("trsiam").net_opt_iter == preset("trsiam").net_opt_update_iter == preset("trsiam").net_opt_hn_iter == 0
    )
    for name in ("trdimp_lasot", "trsiam_lasot"):
        assert preset(name).transformer_skipping == 0
        assert preset(name).initial_samples == 15
    assert set(PRESETS) == {"compact", "trdimp", "trsiam", "trdimp_vot", "trdimp_lasot", "trsiam_lasot"}


def test_only_compact_looks_for_what_it_has_lost_keeps_targets_apart_and_follows_the_camera():
    for name, config in PRESETS.items():
        on = name == "compact"
        assert (config.reacquire_budget > 0, config.exclusivity_overlap > 0) == (on, on), name
        assert config.camera_motion == ("auto" if on else "off"), name


def test_an_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="trdimp_vot"):
        preset("fast")


def test_fixed_differences_name_only_fixed_fields():
    changed = dataclasses.replace(TrackerConfig(), learning_rate=0.5, net_opt_iter=3)
    assert TrackerConfig().fixed_differences(changed) == ["net_opt_iter"]
