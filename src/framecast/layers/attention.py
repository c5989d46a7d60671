"""Causal attention over many positions, exact and never materialised as a whole.

Parts of a softmax over different keys combine exactly when each knows its normaliser, so that keys
that several rows share need not be copied, and queries before the first one that matters are not
computed.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

HEAD_MULTIPLE = 16
"""Head sizes are filled up with zeros to a multiple of this, which processors multiply faster."""
SCORES = 2**26
"""How many scores are held at once where there is no fused kernel."""


@dataclass(frozen=True)
class Attended:
    """What queries found among some keys."""

    value: Float[Tensor, "b heads u d"]  # mean of the values, weighted by the softmax
    log_sum: Float[Tensor, "b heads u"]  # logarithm of the softmax's denominator


def attend(
    query: Float[Tensor, "b heads u d"],
    key: Float[Tensor, "b heads n d"],
    value: Float[Tensor, "b heads n d"],
    scale: float,
    *,
    causal: bool = False,
) -> Attended:
    """Softmax attention with its normaliser, without gradients.

    Args:
        query: What is asked.
        key: What is compared with it.
        value: What is found.
        scale: Factor of the scores, as a rule one over the root of the heads' size.
        causal: Query i sees keys 0…i alone, otherwise all.
    """
    if query.device.type == "cpu":
        found, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *map(_packed, (query, key, value)), 0.0, causal, scale=scale
        )
        return Attended(found, log_sum)
    return attend_by_rows(query, key, value, scale, causal=causal)


def _packed(x: Float[Tensor, "b heads n d"]) -> Float[Tensor, "b heads n d"]:
    """With the numbers of a vector one beside the other: the kernel takes that for granted."""
    return x if x.stride(-1) == 1 else x.contiguous()


def attend_by_rows(
    query: Float[Tensor, "b heads u d"],
    key: Float[Tensor, "b heads n d"],
    value: Float[Tensor, "b heads n d"],
    scale: float,
    *,
    causal: bool = False,
) -> Attended:
    """As `attend`, some queries at a time by plain products, in single precision at least."""
    dtype = query.dtype
    rows = max(1, SCORES // (query.shape[0] * query.shape[1] * key.shape[2]))
    query, key, value = wide(query) * scale, wide(key), wide(value)
    found, log_sums = torch.empty_like(query), query.new_empty(query.shape[:3])
    for start in range(0, query.shape[2], rows):
        some = slice(start, start + rows)
        scores = query[:, :, some] @ key.transpose(2, 3)
        if causal:
            hidden = torch.ones_like(scores[0, 0], dtype=torch.bool).triu(start + 1)
            scores.masked_fill_(hidden, -math.inf)
        shares = scores.softmax(-1)
        found[:, :, some] = shares @ value
        # the largest share is one over the sum of exponentials, relative to the largest score
        log_sums[:, :, some] = scores.amax(-1) - shares.amax(-1).log_()
    return Attended(found.to(dtype), log_sums)


def wide(x: Tensor) -> Tensor:
    """At least single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def merge(first: Attended, second: Attended) -> Attended:
    """What the same queries find among the keys of both parts together."""
    log_sum = torch.logaddexp(first.log_sum, second.log_sum)
    share = (first.log_sum - log_sum).exp().unsqueeze(-1)
    value = torch.lerp(second.value.to(share.dtype), first.value.to(share.dtype), share)
    return Attended(value.to(first.value.dtype), log_sum)


class _LastQueries(torch.autograd.Function):
    """Causal attention of the last positions: past keys without a mask, the rest with one.

    The gradient of either part follows from the whole's result and normaliser alone.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        past = key.shape[2] - query.shape[2]
        query, key, value = map(_packed, (query, key, value))
        whole = merge(
            attend(query, key[:, :, :past], value[:, :, :past], scale),
            attend(query, key[:, :, past:], value[:, :, past:], scale, causal=True),
        )
        ctx.save_for_backward(query, key, value, whole.value, whole.log_sum)
        ctx.scale = scale
        return whole.value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        query, key, value, found, log_sum = ctx.saved_tensors
        past = key.shape[2] - query.shape[2]
        parts = [
            torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                gradients[0],
                query,
                key[:, :, place],
                value[:, :, place],
                found,
                log_sum,
                0.0,
                place.start is not None,
                scale=ctx.scale,
            )
            for place in (slice(None, past), slice(past, None))
        ]
        (q0, k0, v0), (q1, k1, v1) = parts
        return q0 + q1, torch.cat([k0, k1], 2), torch.cat([v0, v1], 2), None


def causal_attention(
    query: Float[Tensor, "b heads u d"],
    key: Float[Tensor, "b heads n d"],
    value: Float[Tensor, "b heads n d"],
    scale: float,
) -> Float[Tensor, "b heads u d"]:
    """Attention of the last `u` of `n` positions to all positions up to and including their own."""
    if query.shape[2] == key.shape[2]:
        return functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale
        )
    if query.device.type == "cpu":
        return _LastQueries.apply(query, key, value, scale)  # pyright: ignore[reportReturnType]
    mask = causal_lower_right(query.shape[2], key.shape[2])
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        scale=scale,  # pyright: ignore[reportArgumentType]
    )


class CausalAttention(nn.Module):
    """Multi-head self-attention where a position sees itself and what comes before it."""

    def __init__(self, width: int, heads: int, inputs: int | None = None) -> None:
        """Make the four projections.

        Args:
            width: Channels out, a multiple of `heads`.
            heads: Number of heads.
            inputs: Channels in; None for as many as out.
        """
        super().__init__()
        inputs = inputs or width
        self.query = nn.Linear(inputs, width)
        self.key = nn.Linear(inputs, width)
        self.value = nn.Linear(inputs, width)
        self.output = nn.Linear(width, width)
        self.heads, self.size = heads, width // heads
        self.scale = self.size**-0.5

    def forward(self, x: Float[Tensor, "b n i"], first: int = 0) -> Float[Tensor, "b u c"]:
        """Attend from position `first` on."""
        key, value = self.keys_values(x)
        return self.joined(causal_attention(self.queries(x[:, first:]), key, value, self.scale))

    def queries(self, x: Float[Tensor, "b n i"]) -> Float[Tensor, "b heads n d"]:
        """Queries by head, filled up with zeros."""
        weight, bias = self._filled(self.query)
        return self._by_head(functional.linear(x, weight, bias))

    def keys_values(
        self, x: Float[Tensor, "b n i"]
    ) -> tuple[Float[Tensor, "b heads n d"], Float[Tensor, "b heads n d"]]:
        """Keys and values by head, filled up with zeros."""
        filled = self._filled(self.key), self._filled(self.value)
        weight, bias = (torch.cat(parts) for parts in zip(*filled, strict=True))
        key, value = functional.linear(x, weight, bias).chunk(2, -1)
        return self._by_head(key), self._by_head(value)

    def joined(self, value: Float[Tensor, "b heads n d"]) -> Float[Tensor, "b n c"]:
        """The output of what all heads found."""
        parts = self.output.weight.unflatten(1, (self.heads, self.size))
        weight = functional.pad(parts, (0, self.fill)).flatten(1)
        return functional.linear(value.transpose(1, 2).flatten(2), weight, self.output.bias)

    @property
    def silent(self) -> bool:
        """Whether the output is zero whatever is attended to."""
        return not any(bool(parameter.any()) for parameter in self.output.parameters())

    @property
    def fill(self) -> int:
        """Zeros behind each head."""
        return -self.size % HEAD_MULTIPLE

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _filled(self, layer: nn.Linear) -> tuple[Tensor, Tensor]:
        """Weight and bias that leave zeros behind each head."""
        weight = layer.weight.unflatten(0, (self.heads, self.size))
        bias = layer.bias.unflatten(0, (self.heads, self.size))
        weight = functional.pad(weight, (0, 0, 0, self.fill)).flatten(0, 1)
        return weight, functional.pad(bias, (0, self.fill)).flatten()
