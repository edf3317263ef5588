"""The template frames that the transformer attends to."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

import torch

from trdimp_ros.models.transformer import (
    EncodedMemory,
    Transformer,
    attention_weights,
    padded_columns,
    with_normalizer,
)

EXACT_REFRESH_PERIOD = 100
"""After so many frames the attention sums are computed anew, so that rounding errors cannot add up."""

CACHE_BYTES = 2**20
"""What may be worked on at once on a processor: the second-level cache of one core."""


def encoded_memory(
    targets: int, capacity: int, tokens: int, transformer: Transformer, device: torch.device, dtype: torch.dtype
) -> EncodedMemory:
    """Room for the encoded template frames of several targets.

    Args:
        targets: The number of targets T.
        capacity: The number of frames of each target.
        tokens: The number of tokens L of a frame.
        transformer: The transformer, which gives the number of channels.
        device: The device of the buffers.
        dtype: The type of the values; the keys are float32.
    """
    count, channels = capacity * tokens, transformer.channels
    return EncodedMemory(
        keys=torch.zeros(targets, count, transformer.key_channels, device=device),
        values=torch.zeros(targets, count, padded_columns(channels + 2), device=device, dtype=dtype),
    )


class TemplateStep(NamedTuple):
    """A step of the work for a frame that has been stored.

    Attributes:
        kind: ``attend``: the frames of a part and the new one attend to each other. ``encode``: the decoder sees the
            new frame from now on. ``retire``: the frames of a part no longer attend to the one that leaves next.
        part: The number of the part; 0 for ``encode``.
    """

    kind: Literal["attend", "encode", "retire"]
    part: int


class TemplateMemory:
    """Classification features and target masks of past frames, encoded for the decoder.

    Buffers have a fixed size; free slots are masked. The order of the frames matters only for which of them leaves.

    When a frame enters, every other frame's attention changes by what it pays to the new frame, and to the one that
    leaves. Only these are computed: a sixth of the work of encoding a full memory of 20 frames anew. Which frame leaves
    next is known in advance. So the work consists of steps, which the frames until the next one enters can share
    (`next_steps`); what the decoder uses changes in one of them alone.

    Args:
        transformer: The transformer that encodes the frames.
        encoded: What the decoder uses, from `encoded_memory`, batch size 1; updated in place. It also gives the sizes.
        capacity: The number of frames that there is room for.

    Attributes:
        encoded: The buffers that were given.
    """

    def __init__(self, transformer: Transformer, encoded: EncodedMemory, capacity: int) -> None:
        self.capacity = capacity
        self.encoded = encoded
        self._transformer = transformer
        self._channels = transformer.channels
        device, dtype = encoded.values.device, encoded.values.dtype
        tokens, columns = encoded.keys.shape[1] // capacity, padded_columns(self._channels + 1)
        # The frames' tokens and the normaliser, 1 in a slot in use: see `with_normalizer`.
        self._values = torch.zeros(1, capacity, tokens, columns, device=device, dtype=dtype)
        self._keys = torch.zeros(1, capacity, tokens, encoded.keys.shape[2], device=device)
        self._sums = torch.ones(1, capacity, tokens, columns, device=device)
        self._masks = torch.zeros(1, capacity, tokens, device=device)
        self._own = torch.zeros(1, tokens, columns, device=device)  # what the newest frame attends to, being summed up
        self._newest = torch.zeros(1, dtype=torch.int64, device=device)  # its slot
        self._slots: deque[int] = deque()
        self._since_exact = 0
        # On a processor the attention weights of more frames would not stay in the cache.
        at_once = max(CACHE_BYTES // (4 * tokens**2), 1) if device.type == "cpu" else capacity
        self._parts = [slice(start, min(start + at_once, capacity)) for start in range(0, capacity, at_once)]
        numbers = range(len(self._parts))
        self._entering = [*(TemplateStep("attend", part) for part in numbers), TemplateStep("encode", 0)]
        self._retiring = [TemplateStep("retire", part) for part in numbers]
        self._done = len(self._entering)  # steps, since the newest frame was stored

    def __len__(self) -> int:
        """Number of frames stored."""
        return len(self._slots)

    @property
    def frames(self) -> torch.Tensor:
        """Tokens (1, capacity, L, C) of the stored frames, zero in free slots; a view."""
        return self._values[..., : self._channels]

    def reset(self, frames: torch.Tensor, masks: torch.Tensor) -> None:
        """Start with the views of the first frame.

        Args:
            frames: Tokens (N, L, C) of the views.
            masks: Their target masks (N, L).
        """
        count = len(frames)
        self._values.zero_()[0, :count] = with_normalizer(frames[None])[0]
        self._keys.zero_()[0, :count] = self._transformer.self_attn.keys(frames)
        self._masks.zero_()[0, :count] = masks
        self._slots = deque(range(count))
        self.refresh()

    def copy_from(self, other: TemplateMemory) -> None:
        """Become a copy of another memory, `encoded` included.

        Args:
            other: A memory of the same sizes, whose capacity may be smaller.
        """
        pairs = zip(self._buffers, other._buffers, strict=True)
        for mine, theirs in pairs:
            mine[:, : theirs.shape[1]].copy_(theirs)
            mine[:, theirs.shape[1] :].zero_()
        self._own.copy_(other._own)
        self._newest.copy_(other._newest)
        self._slots, self._since_exact = other._slots.copy(), other._since_exact
        # Of another capacity, the other has other parts; it is new then, and all its frames have entered.
        self._done = other._done if self.capacity == other.capacity else len(self._entering)

    @property
    def _buffers(self) -> list[torch.Tensor]:
        return [self._values, self._keys, self._sums, self._masks, self.encoded.keys, self.encoded.values]

    def insert(self, frame: torch.Tensor, mask: torch.Tensor) -> None:
        """Put a frame to the front; of a full memory the last one leaves: first frame's views, last one first, then the
        oldest.

        Args:
            frame: (1, L, C).
            mask: (1, L).
        """
        slot = torch.tensor([self.next_slot], device=self._keys.device)
        for step in self.next_steps():
            self.run_step(step, slot)
        self.claim_slot()
        self.store(slot, frame, mask)
        for step in self.next_steps(retire=False):
            self.run_step(step, slot)
        if self.refresh_is_due():
            self.refresh()

    @property
    def next_slot(self) -> int:
        """The slot that the next frame goes to: a free one, or that of the frame that leaves."""
        return self._slots[-1] if len(self._slots) == self.capacity else len(self._slots)

    def claim_slot(self) -> None:
        """Give `next_slot` away, after all `next_steps`; the host's part of `insert`."""
        assert self._done >= len(self._all_steps()), "all steps for the frame stored last come first"
        slot = self.next_slot
        if len(self._slots) == self.capacity:
            self._slots.pop()
        self._slots.appendleft(slot)
        self._since_exact += 1
        self._done = 0

    def next_steps(self, count: int | None = None, retire: bool = True) -> list[TemplateStep]:
        """The next steps, which count as done. Before `claim_slot` all must be.

        Args:
            count: At most so many; None: all that are left.
            retire: Whether the frame that leaves next may be retired. From a memory that is not full none leaves.
        """
        steps = self._all_steps() if retire else self._entering
        first = self._done
        self._done = max(first, len(steps) if count is None else min(first + count, len(steps)))
        return steps[first : self._done]

    def _all_steps(self) -> list[TemplateStep]:
        return [*self._entering, *self._retiring] if len(self._slots) == self.capacity else self._entering

    def steps_a_frame(self, frames: int, spread: bool) -> int:
        """How many steps to take in a frame, so that all are done before the next one is stored.

        Args:
            frames: One in so many frames is stored.
            spread: Whether the steps by which a frame enters are shared out as well; otherwise they are taken when it
                is stored, and those that retire another one in the frames between.
        """
        parts = len(self._parts)
        steps, shared_by = (2 * parts + 1, frames) if spread else (parts, max(frames - 1, 1))
        return -(-steps // shared_by)

    def run_step(self, step: TemplateStep, leaving: torch.Tensor) -> None:
        """Do one of `next_steps`; the device's part.

        Args:
            step: The step.
            leaving: (1,) int64, `next_slot`; read by steps that retire only.
        """
        if step.kind == "attend":
            self._attend(step.part)
        elif step.kind == "retire":
            self._retire(leaving, step.part)
        else:
            self._sums.index_copy_(1, self._newest, self._own[None])
            self._encode()

    def _attend(self, part: int) -> None:
        keys, values = (buffer.index_select(1, self._newest)[:, 0] for buffer in (self._keys, self._values))
        weights = attention_weights(self._keys_of(part), keys, values.dtype, includes_self=True)  # (1, n, L)
        _add_product(self._sums_of(part), weights, values)
        # Queries and keys are the same, so the new frame pays to these what these pay to it.
        _add_product(self._own, weights.transpose(1, 2), self._values[:, self._parts[part]].flatten(1, 2))

    def _retire(self, slot: torch.Tensor, part: int) -> None:
        keys, values = (buffer.index_select(1, slot)[:, 0] for buffer in (self._keys, self._values))
        weights = attention_weights(self._keys_of(part), keys, values.dtype, includes_self=True)  # (1, n, L)
        _add_product(self._sums_of(part), weights, -values)

    def refresh_is_due(self) -> bool:
        """Whether enough frames have been stored since the last `refresh`."""
        return self._since_exact >= EXACT_REFRESH_PERIOD

    def store(self, slot: torch.Tensor, frame: torch.Tensor, mask: torch.Tensor) -> None:
        """Write a frame to a slot; the device's part of `claim_slot`. It enters by `next_steps`.

        Args:
            slot: (1,) int64, `next_slot` before it was claimed.
            frame: (1, L, C).
            mask: (1, L).
        """
        keys, values = self._transformer.self_attn.keys(frame), with_normalizer(frame[None])[0]
        self._keys.index_copy_(1, slot, keys[None])
        self._values.index_copy_(1, slot, values[None])
        self._masks.index_copy_(1, slot, mask[None])
        self._newest.copy_(slot)
        self._own.zero_()

    def refresh(self) -> None:
        """Compute all attention sums anew and encode."""
        used = len(self._slots)  # the first ones: slots are taken in order and never given back
        keys, values, sums = (buffer[:, :used].unbind(1) for buffer in (self._keys, self._values, self._sums))
        self._sums[:, :used].zero_()
        for first in range(used):
            for second in range(first, used):
                weights = attention_weights(keys[first], keys[second], values[0].dtype, includes_self=True)  # (1, L, L)
                _add_product(sums[first], weights, values[second])
                if first != second:  # queries and keys are the same, so the weights are those of both directions
                    _add_product(sums[second], weights.transpose(1, 2), values[first])
        self._since_exact, self._done = 0, len(self._entering)
        self._encode()

    def _keys_of(self, part: int) -> torch.Tensor:
        """(1, n, K); a view."""
        return self._keys[:, self._parts[part]].flatten(1, 2)

    def _sums_of(self, part: int) -> torch.Tensor:
        """(1, n, P); a view."""
        return self._sums[:, self._parts[part]].flatten(1, 2)

    def _encode(self) -> None:
        in_use, tokens = self._values[..., 0, self._channels], self._masks.shape[-1]
        for part in self._parts:
            encoded = self._transformer.add_attended(self.frames[:, part], self._sums[:, part])
            span = slice(part.start * tokens, part.stop * tokens)
            room = EncodedMemory(self.encoded.keys[:, span], self.encoded.values[:, span])
            self._transformer.prepare(encoded, self._masks[:, part], in_use[:, part], out=room)


def _add_product(sums: torch.Tensor, weights: torch.Tensor, values: torch.Tensor) -> None:
    """Add ``weights @ values`` to sums (1, n, P) float32, in place."""
    if weights.dtype == sums.dtype:
        sums.baddbmm_(weights, values)
    else:
        sums.add_(weights @ values)
