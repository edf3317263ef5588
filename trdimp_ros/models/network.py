"""The assembly of the network. Module names are those of the official checkpoint, so it loads strictly."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from trdimp_ros.models.appearance_head import AppearanceHead, require_appearance_head
from trdimp_ros.models.backbones import Backbone, build_backbone
from trdimp_ros.models.box_regressor import BoxRegressor
from trdimp_ros.models.config import NetworkConfig
from trdimp_ros.models.direct_box_head import DirectBoxHead, require_direct_box_head
from trdimp_ros.models.norm import instance_l2_norm, norm_scale
from trdimp_ros.models.target_filter import FilterInitializer, FilterOptimizer
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
        return self.normalize(self.projection(coarse))

    def normalize(self, projected: torch.Tensor) -> torch.Tensor:
        """The same, of a feature (N, C, H, W) that `projection` has been applied to."""
        return instance_l2_norm(projected, self.scale).permute(0, 2, 3, 1).contiguous()


class TrDiMPNet(nn.Module):
    """Backbone, classifier and box heads. What is computed with them is in `tracking` and in `training`.

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
        channels = backbone.fine_channels, backbone.coarse_channels
        self.bb_regressor = BoxRegressor(*channels, self.config.iou_channels)
        direct = self.config.direct_channels
        self.direct_box_head = DirectBoxHead(*channels, direct) if direct else None
        appearance = self.config.appearance_channels
        self.appearance_head = AppearanceHead(*channels, appearance) if appearance else None

    @property
    def backbone(self) -> Backbone:
        """The network that both other parts take their features from."""
        return self.feature_extractor

    @property
    def required_direct_box_head(self) -> DirectBoxHead:
        """The direct box head.

        Raises:
            ValueError: if the network has none.
        """
        return require_direct_box_head(self.direct_box_head)

    @property
    def required_appearance_head(self) -> AppearanceHead:
        """The appearance head.

        Raises:
            ValueError: if the network has none.
        """
        return require_appearance_head(self.appearance_head)

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
