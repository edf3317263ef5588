"""The tracker's parameters: one typed dataclass, from which the ROS parameters and their ranges are generated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trdimp_ros.parameters import check_parameters, parameter, parameters_of

BorderMode = Literal["replicate", "inside", "inside_major"]
BoxMethod = Literal["iou", "direct", "direct_iou"]
RefinementSpace = Literal["relative", "default"]
CameraMotionMode = Literal["off", "on", "auto"]


@dataclass(frozen=True)
class TrackerConfig:
    """Every threshold, rate and size of the tracking loop. The defaults are the preset ``trdimp``.

    Fields that are not dynamic decide the size of buffers or how a target is initialised; changing them needs a new
    `Tracker`.

    Raises:
        ValueError: at construction, for a value outside its range, naming field, value and range.
    """

    # Search area
    image_sample_size: int = parameter(
        352, "Side of the square network input in pixels, a multiple of 16; raising it costs time.", 64, 1024, False
    )
    search_area_scale: float = parameter(
        6.0,
        "Side of the search area divided by sqrt(w*h) of the target; raising it finds faster targets, at less detail.",
        1.5,
        16.0,
        False,
    )
    border_mode: BorderMode = parameter(
        "inside_major",
        "A search area that leaves the image is padded (replicate), or shrunk and moved until one side "
        "(inside_major) or both sides (inside) fit.",
        dynamic=False,
    )
    patch_max_scale_change: float = parameter(
        1.5, "Most that border_mode may shrink the search area; 1 never shrinks it.", 1.0, 10.0
    )
    scale_factors: tuple[float, ...] = parameter(
        (1.0,),
        "Scales of the search area tried in every frame; the best score wins. More than one costs that much more "
        "time and is meant for use_iou_net = false.",
        0.5,
        2.0,
        False,
        shortest=1,
        longest=16,
    )

    # Initialisation
    augmentation_flip: bool = parameter(True, "Learn from the mirrored first frame too.", dynamic=False)
    augmentation_rotations: tuple[float, ...] = parameter(
        (10.0, -10.0, 45.0, -45.0), "Rotations of the first frame to learn from, degrees.", -180.0, 180.0, False
    )
    augmentation_blurs: tuple[tuple[float, float], ...] = parameter(
        ((3.0, 1.0), (1.0, 3.0), (2.0, 2.0)),
        "Gaussian blurs of the first frame to learn from: standard deviations along rows and columns, pixels.",
        0.05,
        20.0,
        False,
    )
    augmentation_shifts: tuple[tuple[float, float], ...] = parameter(
        ((0.6, 0.6), (-0.6, 0.6), (0.6, -0.6), (-0.6, -0.6)),
        "Shifts (row, column) of the first frame to learn from, in halves of the network input.",
        -1.0,
        1.0,
        False,
    )
    augmentation_dropout_samples: int = parameter(
        2, "Copies of the first frame's feature with channels dropped to learn from.", 0, 16, False
    )
    augmentation_dropout: float = parameter(
        0.2, "Share of channels dropped in the copies of augmentation_dropout_samples.", 0.0, 0.9, False
    )
    augmentation_expansion_factor: float = parameter(
        2.0, "Side of the crop that the shifted and rotated views are cut from, in network inputs.", 1.0, 4.0, False
    )
    random_shift_factor: float = parameter(
        1.0 / 3.0,
        "Width of the random shift of mirrored, blurred and rotated views, in network inputs.",
        0.0,
        1.0,
        False,
    )

    # Target filter and its memory
    sample_memory_size: int = parameter(
        50, "Frames the target filter is trained on; must exceed the number of initial views.", 2, 1000, False
    )
    learning_rate: float = parameter(
        0.01, "Weight of a new frame in the filter memory; raising it adapts and forgets faster.", 0.0, 1.0
    )
    hard_negative_learning_rate: float = parameter(
        0.02,
        "Weight in the filter memory of a new frame with a distractor in it; raising it unlearns distractors faster.",
        0.0,
        1.0,
    )
    init_samples_minimum_weight: float = parameter(
        0.25,
        "Least total weight of the first frame's views; raising it drifts and adapts less. 0 lets them be replaced.",
        0.0,
        0.95,
    )
    train_skipping: int = parameter(20, "The filter is optimised every so many frames; raising it saves time.", 1, 1000)
    net_opt_iter: int = parameter(
        10,
        "Optimiser steps of the target filter on the first frame; 0 for this, net_opt_update_iter and net_opt_hn_iter "
        "gives TrSiam.",
        0,
        100,
        False,
    )
    net_opt_update_iter: int = parameter(2, "Optimiser steps of the target filter every train_skipping frames.", 0, 20)
    net_opt_hn_iter: int = parameter(1, "Optimiser steps of the target filter in a frame with a distractor.", 0, 20)
    low_score_opt_threshold: float = parameter(
        0.0, "Below this confidence net_opt_low_iter optimiser steps are taken in every frame; 0 is off.", 0.0, 10.0
    )
    net_opt_low_iter: int = parameter(
        1, "Optimiser steps of the target filter in a frame with a confidence below low_score_opt_threshold.", 0, 20
    )
    spread_learning: bool = parameter(
        False,
        "Share the work of learning out among frames, so that none takes much longer than others: a frame that joins "
        "the transformer memory is attended to within transformer_skipping frames, and where it is due, the "
        "filter is optimised in the frame after it (in half precision always). The original does not.",
    )

    # Transformer memory
    transformer_memory_size: int = parameter(
        20, "Template frames that the transformer attends to; raising it costs time in every frame.", 1, 100, False
    )
    transformer_skipping: int = parameter(
        5, "A template frame is added every so many frames; raising it saves time. 0 never adds one.", 0, 1000
    )

    # Localisation
    advanced_localization: bool = parameter(
        True, "Look for distractors and lost targets; off, the highest score always wins and the state is normal."
    )
    target_not_found_threshold: float = parameter(
        0.25, "A lower confidence means not_found; raising it reports a loss sooner.", -1.0, 2.0
    )
    uncertain_threshold: float = parameter(
        0.0, "A lower confidence means uncertain, and nothing is learned; 0 is off.", 0.0, 2.0
    )
    hard_sample_threshold: float = parameter(
        0.0, "A lower confidence is treated like a frame with a distractor; 0 is off.", 0.0, 2.0
    )
    clear_view_threshold: float = parameter(
        0.0,
        "A target that is lost takes back the size it had when its confidence was last above this: a box that shrank "
        "as the target went behind something leaves too small a search area to see it return. 0 is off.",
        0.0,
        2.0,
    )
    occlusion_share: float = parameter(
        0.0,
        "A target whose confidence is below this share of its usual one is taken to be partly hidden, and keeps the "
        "size of its last clear view, which then also needs three quarters of the usual confidence; raising it follows "
        "sizes less. 0 is off.",
        0.0,
        1.0,
    )
    distractor_threshold: float = parameter(
        0.8, "A second peak above this share of the first makes the frame doubtful; raising it doubts less.", 0.0, 100.0
    )
    hard_negative_threshold: float = parameter(
        0.5,
        "A second peak above this share of the first is learned as a distractor; raising it learns fewer.",
        0.0,
        100.0,
    )
    target_neighborhood_scale: float = parameter(
        2.2, "Size of the area round the first peak, in target sizes, in which no second peak counts.", 0.1, 10.0
    )
    displacement_scale: float = parameter(
        0.8,
        "Distance from the last position, in halves of the search area, beyond which a peak counts as far; lowering it "
        "trusts the last position more.",
        0.0,
        2.0,
    )
    window_output: bool = parameter(
        False,
        "Weight the scores by a Hann window (has an effect only with perform_hn_without_windowing).",
        dynamic=False,
    )
    perform_hn_without_windowing: bool = parameter(
        False,
        "With window_output: choose the first peak in the windowed scores, judge it in the plain ones.",
        dynamic=False,
    )

    # Box refinement
    use_iou_net: bool = parameter(
        True, "Find the box by box_method; off, its size changes only through scale_factors.", dynamic=False
    )
    box_method: BoxMethod = parameter(
        "iou",
        "iou: candidates climb on the score of the IoU predictor. direct: one pass of the direct box head, which the "
        "weights must have. direct_iou: the IoU predictor from the direct head's box on.",
        dynamic=False,
    )
    update_scale_when_uncertain: bool = parameter(
        True, "Let the search area follow the box's size in uncertain frames too."
    )
    use_iounet_pos_for_learning: bool = parameter(
        True, "Learn at the refined position; off, at the position that the target filter found."
    )
    iounet_augmentation: bool = parameter(
        False, "Average the IoU predictor's reference over all initial views but the rotated ones.", dynamic=False
    )
    iounet_k: int = parameter(3, "The box is the mean of so many of the best refined boxes.", 1, 100, False)
    num_init_random_boxes: int = parameter(
        9, "Random boxes that refinement starts from besides the last box; raising it costs time.", 0, 100, False
    )
    box_jitter_pos: float = parameter(
        0.1,
        "Width of the random shift of the random boxes that refinement starts from, in sqrt(w*h) of the target.",
        0.0,
        2.0,
    )
    box_jitter_sz: float = parameter(
        0.5,
        "Width of the random change of size of the random boxes that refinement starts from, in sqrt(w*h).",
        0.0,
        2.0,
    )
    maximal_aspect_ratio: float = parameter(
        6.0, "Refined boxes with a longer side of more than so many shorter ones are dropped.", 1.0, 100.0
    )
    box_refinement_iter: int = parameter(
        10, "Gradient steps of box refinement in a frame; raising it costs time.", 0, 100, False
    )
    box_refinement_space: RefinementSpace = parameter(
        "relative",
        "What the gradient steps of box refinement change: relative centre and log size (relative), or x, y, w, h "
        "(default).",
        dynamic=False,
    )
    box_refinement_step_length: float = parameter(0.0025, "Step length of box refinement for the centre.", 0.0, 10.0)
    box_refinement_size_step_length: float = parameter(
        0.0, "Step length of box refinement for the size; 0: the same as box_refinement_step_length.", 0.0, 10.0
    )
    box_refinement_step_decay: float = parameter(
        1.0, "Factor on the step lengths of box refinement after each step.", 0.01, 1.0
    )

    # Long-term tracking
    camera_motion: CameraMotionMode = parameter(
        "off",
        "Move every target's expected place by the camera's motion between two images: off, on, or auto, which does so "
        "only where the motion is more than noise and, for a target that is seen, would throw it out of place.",
        dynamic=False,
    )
    exclusivity_overlap: float = parameter(
        0.0,
        "Where the boxes of two targets overlap more than this, the one that scores less is uncertain and put back "
        "where it fitted last; raising it tolerates more overlap. 0 is off.",
        0.0,
        1.0,
    )
    reacquire_budget: int = parameter(
        0,
        "Search areas per image in which lost targets are looked for elsewhere; raising it finds them sooner and costs "
        "time while a target is lost. 0 is off.",
        0,
        16,
        False,
    )
    reacquire_after: int = parameter(
        5,
        "A target that was not found in so many images in a row is lost and looked for elsewhere; an image in which it "
        "is uncertain counts a quarter.",
        1,
        1000,
    )
    reacquire_threshold: float = parameter(
        0.35,
        "Least confidence of a place that may be a lost target again, whatever its usual confidence; raising it finds "
        "it later and errs less.",
        0.0,
        2.0,
    )
    reacquire_share: float = parameter(
        0.7,
        "Least confidence of a place that may be a lost target again, in shares of the confidence with which the "
        "target was seen before; raising it finds it later and errs less.",
        0.0,
        2.0,
    )
    reacquire_looks: float = parameter(
        2.0,
        "A place that looks different from a lost target by more than this many times what is usual for it must score "
        "higher to be the target again; lowering it finds targets later and errs less. 0, and with weights that have "
        "no appearance head: looks do not count.",
        0.0,
        100.0,
    )
    reacquire_margin: float = parameter(
        0.7,
        "A place where a second one reaches this share of its confidence is not taken for a lost target; lowering it "
        "finds targets later and errs less.",
        0.0,
        1.0,
    )
    reacquire_confirmations: int = parameter(
        3,
        "In so many images in a row a lost target must be seen again before it counts as found; until then its state "
        "is uncertain and nothing is learned.",
        1,
        100,
    )

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.image_sample_size % 16:
            raise ValueError(f"image_sample_size must be a multiple of 16, got {self.image_sample_size}")
        size = self.sample_memory_size
        if size <= self.initial_samples:
            raise ValueError(f"sample_memory_size must exceed the {self.initial_samples} initial views, got {size}")

    @property
    def initial_views(self) -> int:
        """Number of images that the first frame is turned into."""
        shifts, blurs = len(self.augmentation_shifts), len(self.augmentation_blurs)
        return 1 + shifts + int(self.augmentation_flip) + blurs + len(self.augmentation_rotations)

    @property
    def initial_samples(self) -> int:
        """Number of samples learned from the first frame: its views, and the copies with dropped channels."""
        return self.initial_views + self.augmentation_dropout_samples

    @property
    def template_frames(self) -> int:
        """Capacity of the transformer memory, which always holds the initial samples."""
        return max(self.transformer_memory_size, self.initial_samples)

    def fixed_differences(self, other: TrackerConfig) -> list[str]:
        """Names of the fields that differ although they cannot change in a running tracker."""
        return [
            name
            for name, info in parameters_of(TrackerConfig).items()
            if not info.dynamic and getattr(self, name) != getattr(other, name)
        ]
