"""The template frames that the transformer attends to."""

from __future__ import annotations

from collections import deque

import torch

from trdimp_ros.models.transformer import EncodedMemory, Transformer, with_normalizer

EXACT_REFRESH_PERIOD = 100
"""After so many frames the attention sums are computed anew, so that rounding errors cannot add up."""


class TemplateMemory:
    """Classification features and target masks of past frames, encoded whenever they change.

    Buffers have a fixed size; free slots are masked. The order of the frames matters only for which of them leaves.

    When a frame enters, every other frame's attention changes by what it pays to the new frame, and to the one that
    leaves. Only these are computed: a sixth of the work of encoding a full memory of 20 frames anew.

    Args:
        transformer: Encodes the frames.
        capacity: Number of frames.
        tokens: L, tokens of a frame.
        channels: C.
        key_channels: K.
        device: Where the buffers are.
        dtype: Of frames and values; keys and attention sums are float32.

    Attributes:
        encoded: What the decoder uses; updated in place.
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
        self._keys = torch.zeros(1, capacity, tokens, key_channels, device=device)
        self._sums = torch.ones(1, capacity, tokens, channels + 1, device=device)
        self._masks = torch.zeros(1, capacity, tokens, device=device)
        self._in_use = torch.zeros(1, capacity, device=device)
        self.encoded = EncodedMemory(
            keys=torch.zeros(1, capacity * tokens, key_channels, device=device),
            values=torch.zeros(1, capacity * tokens, channels + 2, device=device, dtype=dtype),
        )
        self._slots: deque[int] = deque()
        self._since_exact = 0

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
        self._keys.zero_()[0, :count] = self._transformer.self_attn.keys(frames)
        self._masks.zero_()[0, :count] = masks
        self._in_use.zero_()[0, :count] = 1.0
        self._slots = deque(range(count))
        self.refresh()

    def insert(self, frame: torch.Tensor, mask: torch.Tensor) -> None:
        """Put a frame to the front; of a full memory the last one leaves: first frame's views, last one first, then the
        oldest.

        Args:
            frame: (1, L, C).
            mask: (1, L).
        """
        full = len(self._slots) == self.capacity
        slot = self._slots.pop() if full else len(self._slots)
        self._slots.appendleft(slot)
        keys = self._transformer.self_attn.keys(frame)  # (1, L, K)
        values = with_normalizer(frame[None], None)[0]  # (1, L, C + 1)
        changed_keys, changed_values = keys, values
        if full:
            leaving = with_normalizer(self._frames[:, slot : slot + 1], None)[0]
            changed_keys = torch.cat([keys, self._keys[:, slot]], dim=1)
            changed_values = torch.cat([values, -leaving], dim=1)
        self._sums += self._transformer.self_attention_sums(self._keys, changed_keys, changed_values)
        self._frames[:, slot] = frame
        self._keys[:, slot] = keys
        self._masks[:, slot] = mask
        self._in_use[:, slot] = 1.0
        self._since_exact += 1
        if self._since_exact >= EXACT_REFRESH_PERIOD:
            self.refresh()
        else:
            self._sums[:, slot] = self._exact_sums(self._keys[:, slot : slot + 1])[:, 0]
            self._encode()

    def refresh(self) -> None:
        """Compute all attention sums anew and encode."""
        self._sums.copy_(self._exact_sums(self._keys))
        self._since_exact = 0
        self._encode()

    def _exact_sums(self, queries: torch.Tensor) -> torch.Tensor:
        """What frames with these keys (1, N, L, K) pay attention to in the whole memory."""
        values = with_normalizer(self._frames, self._in_use)
        return self._transformer.self_attention_sums(queries, self._keys.flatten(1, 2), values.flatten(1, 2))

    def _encode(self) -> None:
        encoded = self._transformer.add_attended(self._frames, self._sums)
        prepared = self._transformer.prepare(encoded, self._masks, self._in_use)
        self.encoded.keys.copy_(prepared.keys)
        self.encoded.values.copy_(prepared.values)
