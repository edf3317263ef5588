"""The training-time pass: learn targets from template frames and look for them in test frames.

A frame's features do not depend on what it is used for, and they are most of the work. So each frame is computed once
and serves in several roles: as a template of its target, and as a test of what was learned from the other frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from trdimp_ros.models import TrDiMPNet
from trdimp_ros.models.direct_box_head import BoxReference
from trdimp_ros.models.feature_engine import Pair
from trdimp_ros.models.norm import at_least_float32
from trdimp_ros.models.target_filter import apply_filter, score_size
from trdimp_ros.training.frozen_backbone import FrozenBackbone


class Roles(NamedTuple):
    """Which frames of a target are templates and which are tests, in each of R turns.

    Attributes:
        templates: (R, I) numbers of frames.
        tests: (R, T) numbers of frames.
    """

    templates: torch.Tensor
    tests: torch.Tensor

    def searched(self) -> torch.Tensor:
        """The frames that are tests in some turn, in order."""
        return self.tests.unique()

    def referred(self) -> torch.Tensor:
        """The frames that are the first template in some turn, in order."""
        return self.templates[:, 0].unique()

    def groups(self) -> list[torch.Tensor]:
        """All frames, in parts that have the same uses: batch norms take their statistics over each part."""
        templates, tests = self.templates.unique(), self.tests.unique()
        if torch.isin(templates, tests).any():
            return [torch.cat([templates, tests]).unique()]
        return [templates, tests]

    def as_templates(self, frames: torch.Tensor) -> torch.Tensor:
        """What belongs to frames (F, S, ...) for the templates of R*S sequences: (I, R*S, ...)."""
        return _select(frames, self.templates)

    def as_tests(self, frames: torch.Tensor) -> torch.Tensor:
        """What belongs to frames (F, S, ...) for the tests of R*S sequences: (T, R*S, ...)."""
        return _select(frames, self.tests)

    def searched_as_tests(self, searched: torch.Tensor) -> torch.Tensor:
        """The same where only the searched frames are given."""
        return _select(searched, torch.searchsorted(self.searched(), self.tests))

    def references(self, referred: torch.Tensor) -> torch.Tensor:
        """What belongs to the referred frames (F, S, ...) for the first template of R*S sequences: (R*S, ...)."""
        return _select(referred, torch.searchsorted(self.referred(), self.templates[:, :1].contiguous()))[0]


def _select(frames: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
    turns, count = numbers.shape
    chosen = frames.index_select(0, numbers.T.flatten().to(frames.device))  # (count * R, S, ...)
    return chosen.view(count, turns * frames.shape[1], *frames.shape[2:])


def one_turn(templates: int, tests: int) -> Roles:
    """The first frames are templates and the others are tests."""
    return Roles(torch.arange(templates)[None], torch.arange(templates, templates + tests)[None])


def rotating(templates: int, tests: int, turns: int) -> Roles:
    """Of the first frames, one more than there are templates, another is a test in each turn; the last ones always are.

    Args:
        templates: The number of template frames in each turn.
        tests: The number of frames that are nothing but tests.
        turns: The number of turns, at most one more than there are templates.
    """
    first, last = torch.arange(templates + 1), torch.arange(templates + 1, templates + 1 + tests)
    chosen = [
        Roles(torch.cat([first[turn + 1 :], first[:turn]]), torch.cat([first[turn, None], last]))
        for turn in range(turns)
    ]
    return Roles(*(torch.stack(part) for part in zip(*chosen, strict=True)))


class TrainingOutput(NamedTuple):
    """What the losses are computed from.

    Attributes:
        scores: Score maps (T, S, H', W') of the test frames, one for every iterate of the filter optimiser.
        box_scores: (T, S, R) scores of the proposals; None: there were none.
        train_features: (I, S, h, w, C) classification features of the training frames, before the transformer.
        test_features: (T, S, h, w, C) classification features of the test frames.
        direct: (T, S, 5, H, W) output of the direct box head; None: the network has none.
    """

    scores: list[torch.Tensor]
    box_scores: torch.Tensor | None
    train_features: torch.Tensor
    test_features: torch.Tensor
    direct: torch.Tensor | None = None


class FrameFeatures(NamedTuple):
    """Features of the frames of S targets, before they are distributed to sequences.

    Attributes:
        classification: Classification features (F, S, h, w, C) of all frames.
        pairs: Both backbone features of the searched frames and of the frames that are references, as images.
        direct: The direct box head's feature (F', S, C, H, W) of the searched frames.
        references: What the direct box head needs of the references, (F'', S, C) and (F'', S, 16, C).
    """

    classification: torch.Tensor
    pairs: tuple[Pair, Pair]
    direct: torch.Tensor | None
    references: BoxReference | None


class TrainingPass(nn.Module):
    """The pass of a network through a batch.

    Args:
        network: The network to train.
        iterations: Steps of the filter optimiser.
        precision: Convolutions and attention compute in it; the filter and the boxes stay in float32.
        frozen: Computes the backbone, which is not trained then; None: it is.
        layout: Memory format of images and features; the network's weights should have the same.
    """

    def __init__(
        self,
        network: TrDiMPNet,
        iterations: int = 5,
        precision: torch.dtype = torch.float32,
        frozen: FrozenBackbone | None = None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        super().__init__()
        self.network = network
        self._iterations, self._precision, self._layout = iterations, precision, layout
        self._frozen = frozen

    def forward(
        self,
        images: torch.Tensor,
        boxes: torch.Tensor,
        masks: torch.Tensor,
        proposals: torch.Tensor | None,
        roles: Roles,
    ) -> TrainingOutput:
        """Learn and look.

        Args:
            images: (F, S, 3, H, W) RGB 0..255, F frames of each of S targets.
            boxes: (F, S, 4) x, y, w, h in image pixels.
            masks: (F, S, H/16, W/16) Gaussian masks of the boxes.
            proposals: (T, R*S, P, 4) boxes to score in the test frames; None: the IoU predictor has nothing to do.
            roles: What the frames are, in R turns; a turn of a target is a sequence.
        """
        features = self._frame_features(images, boxes, roles)
        train, test = roles.as_templates(features.classification), roles.as_tests(features.classification)
        scores = self._scores(train, test, roles.as_templates(boxes), roles.as_templates(masks))
        box_scores = None if proposals is None else self._box_scores(features, boxes, proposals, roles)
        return TrainingOutput(scores, box_scores, train, test, self._direct(features, roles))

    def _frame_features(self, images: torch.Tensor, boxes: torch.Tensor, roles: Roles) -> FrameFeatures:
        network, sequences = self.network, images.shape[1]
        fine, coarse = self._backbone_features(images, roles)  # (F, S, ...)
        searched, referred = roles.searched().to(images.device), roles.referred().to(images.device)
        search_pair = self._images(fine, searched), self._images(coarse, searched)
        reference_pair = self._images(fine, referred), self._images(coarse, referred)
        reference_boxes = boxes[referred].flatten(0, 1)
        direct: torch.Tensor | None = None
        references: BoxReference | None = None
        with torch.autocast(images.device.type, self._precision, enabled=self._precision != torch.float32):
            classification = at_least_float32(network.classifier.classification_feature(coarse.flatten(0, 1)))
            head = network.direct_box_head
            if head is not None:
                direct = head.search_feature(*search_pair).unflatten(0, (-1, sequences))
                reference = head.reference(head.search_feature(*reference_pair), reference_boxes)
                references = BoxReference(*(one.unflatten(0, (-1, sequences)) for one in reference))
        classification = classification.unflatten(0, (-1, sequences))
        return FrameFeatures(classification, (search_pair, reference_pair), direct, references)

    def _images(self, frames: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Some of frames (F, S, C, H, W), in order, as images (F' * S, C, H, W)."""
        chosen = frames if len(numbers) == len(frames) else frames[numbers]
        return chosen.flatten(0, 1).contiguous(memory_format=self._layout)

    def _backbone_features(self, images: torch.Tensor, roles: Roles) -> tuple[torch.Tensor, torch.Tensor]:
        """Both features (F, S, C, H, W) of images (F, S, 3, H, W)."""
        parts = [self._backbone(images[group.to(images.device)].flatten(0, 1)) for group in roles.groups()]
        order = torch.argsort(torch.cat(roles.groups())).to(images.device)
        sequences = images.shape[1]
        fine, coarse = (torch.cat(level).unflatten(0, (-1, sequences)) for level in zip(*parts, strict=True))
        return (fine, coarse) if len(parts) == 1 else (fine[order], coarse[order])

    def _backbone(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        backbone = self.network.backbone
        if self._frozen is not None:
            return self._frozen(images)
        inputs = backbone.normalize(images).contiguous(memory_format=self._layout)
        with torch.autocast(images.device.type, self._precision, enabled=self._precision != torch.float32):
            fine, coarse = backbone(inputs)
        return fine, coarse

    def _scores(
        self, train: torch.Tensor, test: torch.Tensor, boxes: torch.Tensor, masks: torch.Tensor
    ) -> list[torch.Tensor]:
        classifier, filter_size = self.network.classifier, self.network.config.filter_size
        with torch.autocast(train.device.type, self._precision, enabled=self._precision != torch.float32):
            train, test = (at_least_float32(one) for one in self.network.transform(train, test, masks))
        filters = classifier.filter_initializer(train, boxes)
        optimizer = classifier.filter_optimizer
        maps = optimizer.sample_maps(boxes, score_size((train.shape[2], train.shape[3]), filter_size))
        return [apply_filter(test, one) for one in optimizer(filters, train, maps, self._iterations)]

    def _box_scores(
        self, features: FrameFeatures, boxes: torch.Tensor, proposals: torch.Tensor, roles: Roles
    ) -> torch.Tensor:
        """The IoU predictor's scores (T, R*S, P); the first template is the reference."""
        predictor, tests, sequences = self.network.bb_regressor, proposals.shape[0], boxes.shape[1]
        search_pair, reference_pair = features.pairs
        with torch.autocast(boxes.device.type, self._precision, enabled=self._precision != torch.float32):
            searched = predictor.search_features(*search_pair)
        fine, coarse = (
            at_least_float32(roles.searched_as_tests(one.unflatten(0, (-1, sequences))).flatten(0, 1))
            for one in searched
        )
        referred = boxes[roles.referred().to(boxes.device)].flatten(0, 1)
        reference_fine, reference_coarse = (at_least_float32(one) for one in reference_pair)
        modulations = predictor.modulation(reference_fine, reference_coarse, referred)
        first, second = (roles.references(one.unflatten(0, (-1, sequences))).repeat(tests, 1) for one in modulations)
        scores = predictor((first, second), (fine, coarse), proposals.flatten(0, 1))
        return scores.view(proposals.shape[:3])

    def _direct(self, features: FrameFeatures, roles: Roles) -> torch.Tensor | None:
        """Output of the direct box head (T, R*S, 5, H, W); the first template is the reference."""
        head = self.network.direct_box_head
        if head is None or features.direct is None or features.references is None:
            return None
        search = roles.searched_as_tests(features.direct)
        gains, parts = (roles.references(one) for one in features.references)
        tests = search.shape[0]
        reference = BoxReference(gains.repeat(tests, 1), parts.repeat(tests, 1, 1))
        with torch.autocast(search.device.type, self._precision, enabled=self._precision != torch.float32):
            images = search.flatten(0, 1).contiguous(memory_format=self._layout)
            output = head(reference, images)
        return output.float().unflatten(0, search.shape[:2])
