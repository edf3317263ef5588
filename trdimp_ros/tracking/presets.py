"""The named parameter sets."""

from __future__ import annotations

from dataclasses import replace

from trdimp_ros.tracking.config import TrackerConfig

_TRDIMP = TrackerConfig()
_TRSIAM = replace(_TRDIMP, net_opt_iter=0, net_opt_update_iter=0, net_opt_hn_iter=0)

PRESETS: dict[str, TrackerConfig] = {
    "trdimp": _TRDIMP,
    "trsiam": _TRSIAM,
    "trdimp_vot": replace(
        _TRDIMP,
        image_sample_size=224,
        search_area_scale=4.0,
        sample_memory_size=250,
        learning_rate=0.0075,
        init_samples_minimum_weight=0.0,
        train_skipping=10,
        net_opt_iter=25,
        net_opt_update_iter=3,
        net_opt_hn_iter=3,
        window_output=True,
        perform_hn_without_windowing=True,
        augmentation_rotations=(-5.0, 10.0, -30.0, 60.0),
        augmentation_blurs=((2.0, 0.2), (1.0, 3.0)),
        augmentation_shifts=((0.6, 0.6), (-0.6, -0.6)),
        augmentation_dropout_samples=3,
        target_not_found_threshold=0.0,
        distractor_threshold=100.0,
        hard_negative_threshold=0.45,
        displacement_scale=0.7,
    ),
    "compact": replace(
        _TRDIMP,
        # As many pixels per target as 256 and 5.0, two thirds of the area: on validation clips no worse, also where
        # targets move three times as fast.
        image_sample_size=208,
        search_area_scale=4.0625,
        sample_memory_size=40,
        transformer_memory_size=12,
        augmentation_rotations=(12.0, -12.0),
        augmentation_blurs=((2.0, 2.0),),
        train_skipping=10,
        box_method="direct",
        # From validation clips, see docs/model_card.md.
        target_not_found_threshold=0.25,
        uncertain_threshold=0.45,
        clear_view_threshold=0.6,
        occlusion_share=0.45,
        # Expected places move with the camera, what is lost is looked for elsewhere, and two targets do not end on one
        # object: docs/long_term.md.
        camera_motion="auto",
        reacquire_budget=3,
        exclusivity_overlap=0.5,
        spread_learning=True,  # a frame costs much the same as any other
    ),
    "trdimp_lasot": replace(_TRDIMP, transformer_skipping=0),
    "trsiam_lasot": replace(_TRSIAM, transformer_skipping=0),
}
"""``compact``: for the bundled compact network. ``trdimp``: the filter is learned online. ``trsiam``: it is not, which
is faster. ``trdimp_vot``: a smaller search area, for short clips. ``..._lasot``: long videos, in which the template
memory keeps the first frame alone."""


def preset(name: str) -> TrackerConfig:
    """The parameter set of this name.

    Raises:
        ValueError: naming the known presets.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; known are {', '.join(PRESETS)}")
    return PRESETS[name]
