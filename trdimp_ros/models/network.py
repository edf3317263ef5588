"""The assembly of the network. Module names are those of the official checkpoint, so it loads strictly."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import nn

from trdimp_ros.models.backbones import Backbone, build_backbone
from trdimp_ros.models.box_regressor import BoxRegressor
from trdimp_ros.models.config import NetworkConfig
from trdimp_ros.models.norm import at_least_float32, instance_l2_norm, norm_scale
from trdimp_ros.models.target_filter import FilterInitializer, FilterOptimizer, apply_filter, score_size
from trdimp_ros.models.transformer import Transformer


class Classifier(nn.Module):
    """The part that says where the target is: classification feature, transformer and target filter.

    Args:
        config: All sizes.
        coarse_channels: Channels of the backbone's stride-16 feature.
    """

    def __init__(self, config: NetworkConfig, coarse_channels: int) -> None:
        super().__init__()
        channels = config.feature_channels
        self.scale = norm_scale(channels, config.filter_size)
        self.filter_initializer = FilterInitializer(channels, config.filter_size)
        self.filter_optimizer = FilterOptimizer(config.distance_bins, config.bin_width, config.filter_size)
        # The official checkpoint calls this list of one, too, a feature extractor; in the code it is `projection`.
        self.feature_extractor = nn.Sequential(nn.Conv2d(coarse_channels, channels, 3, padding=1, bias=False))
        self.transformer = Transformer(channels, config.key_channels, self.scale)

    @property
    def projection(self) -> nn.Conv2d:
        """The convolution from the backbone's stride-16 feature to the classification feature."""
        return cast(nn.Conv2d, self.feature_extractor[0])

    def classification_feature(self, coarse: torch.Tensor) -> torch.Tensor:
        """Normalised classification feature (N, H, W, C) of a stride-16 backbone feature (N, C', H, W)."""
        feature = instance_l2_norm(self.projection(coarse), self.scale)
        return feature.permute(0, 2, 3, 1).contiguous()


class TrainingOutput(NamedTuple):
    """What the losses are computed from.

    Attributes:
        scores: Score maps (T, S, H', W') of the test frames, one for every iterate of the filter optimiser.
        box_scores: (T, S, R) scores of the proposals.
        train_features: (I, S, h, w, C) classification features of the training frames, before the transformer.
        test_features: (T, S, h, w, C) of the test frames.
    """

    scores: list[torch.Tensor]
    box_scores: torch.Tensor
    train_features: torch.Tensor
    test_features: torch.Tensor


class TrDiMPNet(nn.Module):
    """Backbone, classifier and box regressor.

    Args:
        config: All sizes.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        backbone = build_backbone(self.config.backbone)
        # The official checkpoint's name; in the code it is `backbone`.
        self.feature_extractor = backbone
        self.classifier = Classifier(self.config, backbone.coarse_channels)
        self.bb_regressor = BoxRegressor(backbone.fine_channels, backbone.coarse_channels, self.config.iou_channels)

    @property
    def backbone(self) -> Backbone:
        """The network that both other parts take their features from."""
        return self.feature_extractor

    def forward(
        self,
        train_images: torch.Tensor,
        train_boxes: torch.Tensor,
        train_masks: torch.Tensor,
        test_images: torch.Tensor,
        test_proposals: torch.Tensor,
        iterations: int = 5,
        precision: torch.dtype = torch.float32,
    ) -> TrainingOutput:
        """Learn a target from training frames and look for it in test frames (the training-time pass).

        Args:
            train_images: (I, S, 3, H, W) normalised images of S sequences.
            train_boxes: (I, S, 4) x, y, w, h in image pixels.
            train_masks: (I, S, H/16, W/16) Gaussian masks of the boxes.
            test_images: (T, S, 3, H, W).
            test_proposals: (T, S, R, 4) boxes to score.
            iterations: Steps of the filter optimiser.
            precision: Of the convolutions; the attention, the filter and the boxes stay in float32.
        """
        train_count, sequences = train_images.shape[:2]
        test_count = test_images.shape[0]
        with torch.autocast(train_images.device.type, precision, enabled=precision != torch.float32):
            train_fine, train_coarse = self.backbone(train_images.flatten(0, 1))
            test_fine, test_coarse = self.backbone(test_images.flatten(0, 1))
            train = at_least_float32(self.classifier.classification_feature(train_coarse))  # (I*S, h, w, C)
            test = at_least_float32(self.classifier.classification_feature(test_coarse))
            fine, coarse = self.bb_regressor.search_features(test_fine, test_coarse)
        train_features = train.view(train_count, sequences, *train.shape[1:])
        test_features = test.view(test_count, sequences, *test.shape[1:])
        train, test = self.transform(train_features, test_features, train_masks)
        filters = self.classifier.filter_initializer(train, train_boxes)
        optimizer = self.classifier.filter_optimizer
        maps = optimizer.sample_maps(train_boxes, score_size((train.shape[2], train.shape[3]), self.config.filter_size))
        iterates = optimizer(filters, train, maps, iterations)
        scores = [apply_filter(test, filters) for filters in iterates]

        # The first training frame is the reference of the box regressor.
        reference = at_least_float32(train_fine[:sequences]), at_least_float32(train_coarse[:sequences])
        modulation = self.bb_regressor.modulation(*reference, train_boxes[0])
        modulation = cast(
            tuple[torch.Tensor, torch.Tensor], tuple(vector.repeat(test_count, 1) for vector in modulation)
        )
        features = at_least_float32(fine), at_least_float32(coarse)
        box_scores = self.bb_regressor(modulation, features, test_proposals.flatten(0, 1))
        return TrainingOutput(scores, box_scores.view(test_proposals.shape[:3]), train_features, test_features)

    def transform(
        self, train: torch.Tensor, test: torch.Tensor, train_masks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pass the features of S sequences through the transformer, the training frames being the memory.

        Args:
            train: (I, S, h, w, C) classification features.
            test: (T, S, h, w, C).
            train_masks: (I, S, h, w).

        Returns:
            The decoded training and test features, shaped as given.
        """
        transformer = self.classifier.transformer
        memory = transformer.encode(train.transpose(0, 1).flatten(2, 3))
        prepared = transformer.prepare(memory, train_masks.transpose(0, 1).flatten(2, 3))
        decoded = [
            torch.stack([transformer.decode(frame.flatten(1, 2), prepared) for frame in frames]).view(frames.shape)
            for frames in (train, test)
        ]
        return decoded[0], decoded[1]
