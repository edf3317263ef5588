"""The tracker's transformer (TrDiMP, section 3): attention between template frames and the search frame.

A feature map (N, C, H, W) is used as tokens (N, L, C), L = H * W, row by row. One head, no feed-forward, no output
projection. Keys are unit vectors, and one projection ``WK`` makes both the queries and the keys, so every logit
lies within +-30. Its exponential fits float32 without the usual subtraction of the row's maximum, and a softmax can be
written as a ratio of two plain sums: `Values` carries the normaliser as one more column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from trdimp_ros.models.norm import at_least_float32, instance_l2_norm

INVERSE_TEMPERATURE = 30.0
"""Factor on the cosine of query and key before the softmax."""


def attention_weights(
    queries: torch.Tensor, keys: torch.Tensor, dtype: torch.dtype, includes_self: bool = False
) -> torch.Tensor:
    """Softmax weights up to a factor per row: the caller divides by their sum.

    Args:
        queries: (..., Q, K) unit vectors, float32.
        keys: (..., T, K) unit vectors, float32.
        dtype: The type of the result; the exponential is computed in float32.
        includes_self: Every query is one of the keys. The factor is then the same for all rows, whatever the keys.

    Returns:
        (..., Q, T) positive weights.
    """
    logits = (queries * INVERSE_TEMPERATURE) @ keys.transpose(-1, -2)
    if dtype == torch.float16:  # whose largest number is 65504
        logits = logits - (INVERSE_TEMPERATURE if includes_self else logits.amax(dim=-1, keepdim=True))
    weights = logits.exp() if logits.requires_grad else logits.exp_()
    return weights.to(dtype)


@dataclass
class EncodedMemory:
    """What the memory frames alone determine, computed when the memory changes and used in every frame.

    Attributes:
        keys: (B, T, K) float32 unit keys of the encoded tokens for the decoder's cross attention.
        values: (B, T, P): the encoded tokens times their mask (C columns), the mask itself, 1 for a token in use and 0
            for a free one (whose other columns are 0 as well), and zeros up to P = `padded_columns` (C + 2).
    """

    keys: torch.Tensor
    values: torch.Tensor


COLUMN_MULTIPLE = 8


def padded_columns(columns: int) -> int:
    """Columns that values of so many columns are stored with: matrix products of odd widths take up to half longer."""
    return -(-columns // COLUMN_MULTIPLE) * COLUMN_MULTIPLE


def with_normalizer(values: torch.Tensor, in_use: torch.Tensor | None = None) -> torch.Tensor:
    """Append the softmax's normaliser to values, leave out what lies in free slots, and pad.

    Args:
        values: (B, N, L, V).
        in_use: (B, N) 1 for a frame in use, 0 for a free slot; None: all are.

    Returns:
        (B, N, L, P), P = `padded_columns` (V + 1): the values, 1, and zeros; only zeros in a free slot.
    """
    shape = values.shape[:3]
    if in_use is None:
        used = values.new_ones(*shape, 1)
    else:
        used = in_use.to(values.dtype)[..., None, None].expand(*shape, 1)
        values = values * used
    columns = values.shape[-1] + 1
    return torch.cat([values, used, values.new_zeros(*shape, padded_columns(columns) - columns)], dim=-1)


class Attention(nn.Module):
    """One attention head. ``WV`` belongs to the official checkpoint and is never used."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.WK = nn.Linear(channels, key_channels)
        self.WV = nn.Linear(channels, channels)

    def keys(self, tokens: torch.Tensor) -> torch.Tensor:
        """Unit keys (..., K), float32 at least, of tokens (..., C)."""
        return functional.normalize(at_least_float32(self.WK(tokens)), dim=-1, eps=1e-12)


class MultiheadAttention(nn.Module):
    """A list of heads, of which the tracker has one; kept for the names of the state dict."""

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.head = nn.ModuleList([Attention(channels, key_channels)])

    def keys(self, tokens: torch.Tensor) -> torch.Tensor:
        return cast(Attention, self.head[0]).keys(tokens)


class EncoderLayer(nn.Module):
    """Self attention over the tokens of all memory frames together."""

    def __init__(self, self_attn: MultiheadAttention) -> None:
        super().__init__()
        self.self_attn = self_attn


class DecoderLayer(nn.Module):
    """Self attention within the search frame, then cross attention to the memory."""

    def __init__(self, self_attn: MultiheadAttention, cross_attn: MultiheadAttention) -> None:
        super().__init__()
        self.self_attn = self_attn
        self.cross_attn = cross_attn


class LayerStack(nn.Module):
    """A list of layers, of which the tracker has one; kept for the names of the state dict."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList([layer])


class Transformer(nn.Module):
    """Encoder and decoder, which share one self attention layer.

    Args:
        channels: C, channels of the tokens.
        key_channels: K, channels of the keys.
        scale: The constant of the instance norm, see `norm_scale`.
    """

    def __init__(self, channels: int, key_channels: int, scale: float) -> None:
        super().__init__()
        self.channels, self.key_channels = channels, key_channels
        self.scale = scale
        self_attn = MultiheadAttention(channels, key_channels)
        self.encoder = LayerStack(EncoderLayer(self_attn))
        self.decoder = LayerStack(DecoderLayer(self_attn, MultiheadAttention(channels, key_channels)))

    @property
    def self_attn(self) -> MultiheadAttention:
        return cast(EncoderLayer, self.encoder.layers[0]).self_attn

    @property
    def cross_attn(self) -> MultiheadAttention:
        return cast(DecoderLayer, self.decoder.layers[0]).cross_attn

    def encode(self, frames: torch.Tensor, in_use: torch.Tensor | None = None) -> torch.Tensor:
        """Let all memory frames attend to one another.

        Args:
            frames: (B, N, L, C) tokens of N frames in each of B memories.
            in_use: (B, N) 1 for a frame in use, 0 for a free slot; None: all are.

        Returns:
            (B, N, L, C) encoded tokens, ``norm(X + attention(X, X, X))``; meaningless in free slots.
        """
        keys = self.self_attn.keys(frames)  # (B, N, L, K)
        values = with_normalizer(frames, in_use).flatten(1, 2)  # (B, N*L, P)
        sums = self.self_attention_sums(keys, keys.flatten(1, 2), values)
        return self.add_attended(frames, sums)

    def self_attention_sums(self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Weighted sums of values, up to one factor common to all, so that parts of them can be added.

        Args:
            queries: (B, N, L, K) unit keys of the tokens that attend.
            keys: (B, T, K) unit keys of the tokens attended to.
            values: (B, T, P) from `with_normalizer`.

        Returns:
            (B, N, L, P).
        """
        # Frame by frame: the complete attention matrix of a full memory would take 375 MB.
        return torch.stack(
            [attention_weights(frame, keys, values.dtype, includes_self=True) @ values for frame in queries.unbind(1)],
            dim=1,
        )

    def add_attended(self, frames: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
        """Encoded tokens (B, N, L, C) from the frames and their `self_attention_sums` (B, N, L, P)."""
        sums, channels = at_least_float32(sums), frames.shape[-1]
        # Nobody attends from a free slot; what stands there only has to stay finite.
        normalizer = sums[..., channels, None].clamp_min(1e-30)
        encoded = torch.addcdiv(frames, sums[..., :channels], normalizer)
        return instance_l2_norm(encoded.flatten(0, 1), self.scale).view(frames.shape).to(frames.dtype)

    def prepare(
        self,
        encoded: torch.Tensor,
        masks: torch.Tensor,
        in_use: torch.Tensor | None = None,
        out: EncodedMemory | None = None,
    ) -> EncodedMemory:
        """Compute what the decoder needs of the memory.

        Args:
            encoded: (B, N, L, C) from `encode`.
            masks: (B, N, L) Gaussian masks of the memory frames' targets.
            in_use: (B, N) as in `encode`.
            out: The buffers to write it to, whose padding must be zero; None: new ones.
        """
        shape, channels = encoded.shape[:3], encoded.shape[-1]
        used = masks.new_ones(shape) if in_use is None else in_use.to(masks.dtype)[..., None].expand(shape)
        masks = (masks * used).to(encoded.dtype)
        keys = self.cross_attn.keys(encoded).flatten(1, 2)
        if out is None:
            out = EncodedMemory(keys, encoded.new_zeros(shape[0], keys.shape[1], padded_columns(channels + 2)))
        else:
            out.keys.copy_(keys)
        values = out.values.unflatten(1, shape[1:])  # (B, N, L, P)
        values[..., :channels] = encoded * masks[..., None]
        values[..., channels] = masks
        values[..., channels + 1] = used
        return out

    def decode(self, frames: torch.Tensor, memory: EncodedMemory) -> torch.Tensor:
        """Enhance feature maps by what the memory knows of the target, each by itself.

        Args:
            frames: (N, L, C) tokens of N frames.
            memory: The encoded memory, of batch size 1 (shared by all frames) or N.

        Returns:
            (N, L, C).
        """
        keys = self.self_attn.keys(frames)
        weights = attention_weights(keys, keys, frames.dtype, includes_self=True)  # (N, L, L)
        attended = (weights @ frames) / weights.sum(dim=-1, keepdim=True)
        frames = instance_l2_norm(frames + attended, self.scale)

        keys = self.cross_attn.keys(frames)
        weights = attention_weights(keys, memory.keys, frames.dtype)  # (N, L, T)
        sums = weights @ memory.values  # (N, L, P)
        channels = frames.shape[-1]
        attended = sums[..., : channels + 1] / sums[..., channels + 1, None]
        mask, features = attended[..., channels, None], attended[..., :channels]
        masked = instance_l2_norm(frames * mask, self.scale)
        transformed = instance_l2_norm(frames + features, self.scale)
        return instance_l2_norm(masked + transformed, self.scale)
