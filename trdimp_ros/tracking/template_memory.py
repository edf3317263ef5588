"""The template frames that the transformer attends to."""

from __future__ import annotations

from collections import deque

import torch

from trdimp_ros.models.transformer import EncodedMemory, Transformer


class TemplateMemory:
    """Classification features and target masks of past frames, encoded whenever they change.

    Buffers have a fixed size; free slots are masked. The order of the frames matters only for which of them leaves.

    Args:
        transformer: Encodes the frames.
        capacity: Number of frames.
        tokens: L, tokens of a frame.
        channels: C.
        key_channels: K.
        device: Where the buffers are.
        dtype: Of frames and values; keys are float32.
    """

    def __init__(
        self,
        transformer: Transformer,
        capacity: int,
        tokens: int,
        channels: int,
        key_channels: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.capacity = capacity
        self._transformer = transformer
        self._frames = torch.zeros(1, capacity, tokens, channels, device=device, dtype=dtype)
        self._masks = torch.zeros(1, capacity, tokens, device=device)
        self._in_use = torch.zeros(1, capacity, device=device)
        self.encoded = EncodedMemory(
            keys=torch.zeros(1, capacity * tokens, key_channels, device=device),
            values=torch.zeros(1, capacity * tokens, channels + 2, device=device, dtype=dtype),
        )
        self._slots: deque[int] = deque()

    def __len__(self) -> int:
        """Number of frames stored."""
        return len(self._slots)

    def reset(self, frames: torch.Tensor, masks: torch.Tensor) -> None:
        """Start with the views of the first frame.

        Args:
            frames: (N, L, C).
            masks: (N, L).
        """
        count = len(frames)
        self._frames.zero_()[0, :count] = frames
        self._masks.zero_()[0, :count] = masks
        self._in_use.zero_()[0, :count] = 1.0
        self._slots = deque(range(count))
        self._encode()

    def insert(self, frame: torch.Tensor, mask: torch.Tensor) -> None:
        """Put a frame to the front; of a full memory the last one leaves: first frame's views, last one first, then the
        oldest.

        Args:
            frame: (1, L, C).
            mask: (1, L).
        """
        slot = len(self._slots) if len(self._slots) < self.capacity else self._slots.pop()
        self._slots.appendleft(slot)
        self._frames[:, slot] = frame
        self._masks[:, slot] = mask
        self._in_use[:, slot] = 1.0
        self._encode()

    def _encode(self) -> None:
        encoded = self._transformer.encode(self._frames, self._in_use)
        prepared = self._transformer.prepare(encoded, self._masks, self._in_use)
        self.encoded.keys.copy_(prepared.keys)
        self.encoded.values.copy_(prepared.values)
