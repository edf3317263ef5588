"""A tracker that can say what boxes look like, and look at the second peak of a target's scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from trdimp_ros.tracking.close_view import close_view
from trdimp_ros.tracking.geometry import Box, Pair
from trdimp_ros.tracking.multi_tracker import MultiTracker
from trdimp_ros.tracking.rivals import second_peak


class AppearanceTracker(MultiTracker):
    """What `LongTermTracker` needs of a `MultiTracker` to choose between things that score alike.

    The arguments are those of `MultiTracker`.
    """

    @torch.inference_mode()
    def second_peak(self, name: Hashable, size: Pair) -> tuple[Pair, float] | None:
        """Where the frame located last scores highest away from the target, see `rivals.second_peak`.

        Args:
            name: The target's name.
            size: Its height and width in the image.

        Returns:
            Row and column in the image, and the score; None once the frame has been learned.
        """
        tracked = self._tracked[self._index(name)]
        if tracked.located is None or tracked.score_map is None:
            return None
        filter_size = self._network.config.filter_size
        return second_peak(tracked.score_map, tracked.located, size, self._config, filter_size)

    def relocate(self, name: Hashable, position: Pair, size: Pair) -> None:
        """Say that a target is elsewhere in the frame located last: it is learned and looked for there.

        Args:
            name: The target's name.
            position: Row and column in the image.
            size: Height and width.
        """
        tracked = self._tracked[self._index(name)]
        tracked.state.position, tracked.state.size = position, size
        tracked.state.scale = np.float32(np.sqrt(np.prod(size) / np.prod(tracked.state.base_size)))
        if tracked.located is not None:
            decision = tracked.located.decision._replace(position=position, size=size, learn_position=position)
            tracked.located = dataclasses.replace(tracked.located, decision=decision)

    @property
    def has_appearance_head(self) -> bool:
        """Whether the network can say what something looks like, see `embeddings`."""
        return self._network.config.appearance_channels > 0

    @torch.inference_mode()
    def embeddings(self, image: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """What boxes of an image look like to the network's appearance head; nothing changes.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: At least one, in image pixels, of positive width and height.

        Returns:
            (N, D) unit vectors; the product of two of them tells how alike two objects look.

        Raises:
            ValueError: if the network has no appearance head.
        """
        views = torch.from_numpy(np.stack([close_view(image, box) for box in boxes])).to(self.device)
        embeddings = self._network.engine.embeddings(views.permute(0, 3, 1, 2).float().contiguous())
        return np.asarray(embeddings.float().cpu().numpy())
