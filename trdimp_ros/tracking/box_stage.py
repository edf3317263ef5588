"""The box stage of a frame: from where the classifier has found the targets to their boxes. On the device.

There are several ways to a box (`TrackerConfig.box_method`). Each keeps a reference of every target, learned from its
first frame, and turns features of the backbone and a start box into a box. All shapes are fixed, and nothing waits for
the host.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch

from trdimp_ros.models.box_scorer import BoxScorer
from trdimp_ros.models.direct_box_head import BoxReference, cell_centers, decode_boxes, require_direct_box_head
from trdimp_ros.models.inference import InferenceNetwork
from trdimp_ros.models.integral_maps import IntegralMaps
from trdimp_ros.tracking.config import TrackerConfig
from trdimp_ros.tracking.frame_settings import FrameSettings
from trdimp_ros.tracking.host_inputs import ParameterInputs
from trdimp_ros.tracking.refinement import Selection, ascend, select_box, sensible_shape, start_boxes

Reference = tuple[torch.Tensor, ...]
"""What the first frame says of one target: tensors whose meaning only the box stage knows."""

REACH = 0.25
"""Boxes are believed of places so far from the classifier's peak, in target sizes (standard deviation)."""

LEAST_REACH = 6.0
"""And so many pixels of the search area at least."""

TRUST = 4.0
"""Power of the predicted quality in the weight of a box."""

FOLLOW = 0.7
"""The size follows the predicted one by this share of the way, in logs, times the predicted quality: what half hides a
target must not shrink it at once. From validation clips, see docs/model_card.md."""


Features = tuple[torch.Tensor, ...]
"""What a box stage computes of the search areas of T targets before it is told where they are."""


class BoxQuestion(NamedTuple):
    """What a box stage is asked about T targets.

    Attributes:
        start: The last boxes, moved to the classifier's peaks, (T, 4) x, y, w, h in pixels of the search area.
        uniform: Random numbers (T, R, 4) from 0 to 1.
        first: The index of the first of the targets in the stage.
        parameters: The parameters in force.
        settings: What shapes the computation.
    """

    start: torch.Tensor
    uniform: torch.Tensor
    first: int
    parameters: ParameterInputs[torch.Tensor]
    settings: FrameSettings


class BoxStage(Protocol):
    """One way from a place to a box, for all targets of a tracker."""

    def reference(self, fine: torch.Tensor, coarse: torch.Tensor, boxes: torch.Tensor) -> Reference:
        """What N views of one target say of it; the tensors begin with N, and their means are its reference.

        Args:
            fine: The stride-8 backbone features (N, C8, H, W).
            coarse: The stride-16 backbone features (N, C16, H/2, W/2).
            boxes: The target's boxes (N, 4) x, y, w, h in pixels of the views.
        """

    def set_reference(self, target: int, reference: Reference) -> None:
        """Take the reference of one target; buffers keep their place in memory."""

    def copy_target(self, source: int, destination: int) -> None:
        """Use the reference of one target for another one too."""

    def features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Features:
        """What is computed of the search areas.

        Args:
            fine: The stride-8 backbone feature (T, C8, H, W) of each target's search area.
            coarse: The stride-16 backbone feature (T, C16, H/2, W/2).
        """

    def find(self, features: Features, question: BoxQuestion) -> Selection:
        """The boxes of T targets, given what `features` made of their search areas."""


class IouRefinement:
    """Candidates round the start box climb on the score of the IoU predictor (ATOM, CVPR 2019).

    Args:
        network: The network prepared for inference.
        max_targets: The largest number of targets.
    """

    def __init__(self, network: InferenceNetwork, max_targets: int) -> None:
        self._network = network
        self._scorer = BoxScorer(network.box_regressor, max_targets, network.dtype)

    def reference(self, fine: torch.Tensor, coarse: torch.Tensor, boxes: torch.Tensor) -> Reference:
        """Two modulation vectors."""
        return self._network.box_regressor.modulation(fine, coarse, boxes)

    def set_reference(self, target: int, reference: Reference) -> None:
        """See `BoxStage.set_reference`."""
        first, second = reference
        self._scorer.set_modulation(target, (first, second))

    def copy_target(self, source: int, destination: int) -> None:
        """See `BoxStage.copy_target`."""
        self._scorer.copy_target(source, destination)

    def features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Features:
        """See `BoxStage.features`."""
        return self._network.engine.box_features(fine, coarse)

    def find(self, features: Features, question: BoxQuestion) -> Selection:
        """See `BoxStage.find`."""
        fine, coarse = features
        return refine_boxes(self._scorer, self._scorer.prepare((fine, coarse), question.first), question)


def refine_boxes(scorer: BoxScorer, maps: IntegralMaps, question: BoxQuestion) -> Selection:
    """The mean of the best candidates after their ascent on the score; ``maps`` from `BoxScorer.prepare`."""
    parameters, settings = question.parameters, question.settings
    candidates = start_boxes(question.start, question.uniform, parameters.jitter[0], parameters.jitter[1])
    candidates, scores = ascend(scorer, maps, candidates, settings, parameters.step, parameters.decay)
    return select_box(candidates, scores, settings.iounet_k, parameters.max_aspect_ratio)


class DirectBoxes:
    """One pass of the direct box head; the box is a mean of those near the classifier's peak, by their quality.

    Args:
        network: The network prepared for inference.
        max_targets: The largest number of targets.
        references: Where the references of all targets lie; None: in new buffers.

    Attributes:
        references: The references of all targets, in buffers that keep their place in memory.

    Raises:
        ValueError: if the network has no such head.
    """

    def __init__(self, network: InferenceNetwork, max_targets: int, references: Reference | None = None) -> None:
        self._head = require_direct_box_head(network.direct_box_head)
        self._engine = network.engine
        shapes = self._head.reference_shapes
        self.references = references or tuple(
            torch.zeros(max_targets, *shape, device=network.device) for shape in shapes
        )

    def reference(self, fine: torch.Tensor, coarse: torch.Tensor, boxes: torch.Tensor) -> Reference:
        """Gains of channels, and vectors of the target's parts."""
        return tuple(self._head.reference(self._head.search_feature(fine, coarse), boxes))

    def set_reference(self, target: int, reference: Reference) -> None:
        """See `BoxStage.set_reference`."""
        for buffer, tensor in zip(self.references, reference, strict=True):
            buffer[target].copy_(tensor)

    def copy_target(self, source: int, destination: int) -> None:
        """See `BoxStage.copy_target`."""
        for buffer in self.references:
            buffer[destination].copy_(buffer[source])

    def features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Features:
        """See `BoxStage.features`."""
        return (self._engine.direct_feature(fine, coarse),)

    def find(self, features: Features, question: BoxQuestion) -> Selection:
        """See `BoxStage.find`."""
        first = question.first
        gains, parts = (buffer[first : first + len(question.start)] for buffer in self.references)
        raw = self._engine.direct_boxes(BoxReference(gains, parts), features[0])
        box = follow_size(question.start, *mean_box_near(raw, question.start))
        # The loop counts positions from the middle of the first pixel, the head from its corner.
        box = torch.cat([box[:, :2] - 0.5, box[:, 2:]], dim=1)
        return Selection(box, sensible_shape(box, question.parameters.max_aspect_ratio))


def mean_box_near(raw: torch.Tensor, start: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of the boxes that are predicted near the middle of start boxes, weighted by quality.

    Args:
        raw: The head's output (T, 5, H, W).
        start: Boxes (T, 4) x, y, w, h in pixels of the search area.

    Returns:
        Boxes (T, 4), and the mean of their predicted qualities (T,), 0..1.
    """
    size = start[:, 2:, None, None]
    offset = cell_centers((raw.shape[2], raw.shape[3]), raw.device) - (start[:, :2, None, None] + size / 2)
    reach = (REACH * size).clamp_min(LEAST_REACH)
    near = -0.5 * (offset / reach).square().sum(dim=1)  # (T, H, W)
    weight = (near + TRUST * torch.nn.functional.logsigmoid(raw[:, 4])).flatten(1).softmax(dim=1)
    quality = (raw[:, 4].sigmoid().flatten(1) * weight).sum(dim=1)
    return (decode_boxes(raw).flatten(2) * weight[:, None]).sum(dim=2), quality


def follow_size(last: torch.Tensor, box: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Boxes (T, 4) with their middles, and sizes between the last and their own, see `FOLLOW`; quality is (T,)."""
    middle, wanted, before = box[:, :2] + box[:, 2:] / 2, box[:, 2:], last[:, 2:]
    size = before * (wanted / before) ** (FOLLOW * quality[:, None])
    return torch.cat([middle - size / 2, size], dim=1)


class DirectThenRefined(DirectBoxes):
    """The box of the direct head, from where one candidate climbs on the score of the IoU predictor.

    Args:
        network: The network prepared for inference.
        max_targets: The largest number of targets.
    """

    def __init__(self, network: InferenceNetwork, max_targets: int) -> None:
        super().__init__(network, max_targets)
        self._refinement = IouRefinement(network, max_targets)
        self._own = len(self.references)

    def reference(self, fine: torch.Tensor, coarse: torch.Tensor, boxes: torch.Tensor) -> Reference:
        """Those of both ways, one after the other."""
        return (*super().reference(fine, coarse, boxes), *self._refinement.reference(fine, coarse, boxes))

    def set_reference(self, target: int, reference: Reference) -> None:
        """See `BoxStage.set_reference`."""
        super().set_reference(target, reference[: self._own])
        self._refinement.set_reference(target, reference[self._own :])

    def copy_target(self, source: int, destination: int) -> None:
        """See `BoxStage.copy_target`."""
        super().copy_target(source, destination)
        self._refinement.copy_target(source, destination)

    def features(self, fine: torch.Tensor, coarse: torch.Tensor) -> Features:
        """See `BoxStage.features`."""
        return (*super().features(fine, coarse), *self._refinement.features(fine, coarse))

    def find(self, features: Features, question: BoxQuestion) -> Selection:
        """See `BoxStage.find`."""
        direct = super().find(features[:1], question)
        start = torch.where(direct.any_left[:, None], direct.box, question.start)
        return self._refinement.find(features[1:], question._replace(start=start, uniform=question.uniform[:, :0]))


def box_stage(network: InferenceNetwork, config: TrackerConfig, max_targets: int) -> BoxStage | None:
    """The box stage that a configuration asks for; None: sizes only follow the scales.

    Raises:
        ValueError: if the network lacks what it needs.
    """
    if not config.use_iou_net:
        return None
    kinds: dict[str, type[IouRefinement] | type[DirectBoxes]] = {
        "iou": IouRefinement,
        "direct": DirectBoxes,
        "direct_iou": DirectThenRefined,
    }
    return kinds[config.box_method](network, max_targets)
