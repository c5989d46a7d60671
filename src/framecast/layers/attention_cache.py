"""What a causal attention keeps while positions are drawn one after another, or many at once.

Keys and values alone. Positions come in portions, of a frame or of a slice: what was drawn before
is the past, looked up again only for queries that have changed. What several rows have in common
is kept once.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from framecast.layers.attention import HEAD_MULTIPLE, Attended, CausalAttention, attend, merge


@dataclass(frozen=True)
class Rows:
    """Keys and values row by row, filled up with zeros, for many queries at once."""

    key: Float[Tensor, "r heads n d"]
    value: Float[Tensor, "r heads n d"]

    @classmethod
    def of(cls, memory: Float[Tensor, "2 r heads d n"]) -> "Rows":
        """Turn what is kept with the position last."""
        fill = -memory.shape[3] % HEAD_MULTIPLE
        return cls(*functional.pad(memory.transpose(3, 4), (0, fill)).contiguous().unbind(0))

    def one(self, row: int) -> "Rows":
        """Those of one row."""
        return Rows(self.key[row : row + 1], self.value[row : row + 1])


class Memory:
    """Keys and values of past positions.

    Position last, because one query against many keys is then a product over contiguous rows.
    """

    own: Float[Tensor, "2 r heads d n"]  # of each row, with places for the portion being drawn
    shared: Float[Tensor, "2 b heads d k"] | None  # of a context, where rows share it
    past: int  # positions of `own` before the portion being drawn

    def __init__(
        self, attention: CausalAttention, places: Float[Tensor, "b n c"], samples: int
    ) -> None:
        """Start from what the attention is given at first positions, of which there may be none.

        Args:
            attention: The layer.
            places: Its input at these positions.
            samples: Rows that each of them stands for.
        """
        layers = (attention.query, attention.key, attention.value)
        scales = (attention.scale, 1.0, 1.0)
        pairs = list(zip(layers, scales, strict=True))
        weight = torch.cat([layer.weight * scale for layer, scale in pairs])
        self.projection = weight, torch.cat([layer.bias * scale for layer, scale in pairs])
        self.heads = attention.heads, attention.size
        self.output = attention.output
        context = self._keys_values(functional.linear(places, *self.projection))
        if samples == 1:
            self.own, self.shared = context, None
        else:
            self.own = context.new_zeros(2, samples * len(places), *context.shape[2:4], 0)
            self.shared = context if places.shape[1] else None
        self.past = self.own.shape[-1]
        self._past_rows: Rows | None = None
        self._seen: Tensor | None = None

    def begin(self, positions: int) -> None:
        """Make place for the next portion; what there was becomes the past."""
        self.past = self.own.shape[-1]
        self.own = functional.pad(self.own, (0, positions))
        self._past_rows = None
        self._seen = None

    def step(self, position: int, x: Float[Tensor, "r c"]) -> Float[Tensor, "r c2"]:
        """What the attention gives at one position of the portion, those before it being known."""
        projected = functional.linear(x, *self.projection).unflatten(1, (3, *self.heads))
        self.own[..., self.past + position].copy_(projected[:, 1:].transpose(0, 1))
        found = self._one(projected[:, 0], position)
        return functional.linear(found, self.output.weight).add_(self.output.bias)

    def portion(self, x: Float[Tensor, "r p c"]) -> Float[Tensor, "r p c2"]:
        """What the attention gives at all positions of the portion.

        What a position finds in the past is looked up again only if its input has changed since the
        last call for this portion.
        """
        projected = functional.linear(x, *self.projection)
        self.own[..., self.past :] = self._keys_values(projected)
        query = projected.unflatten(2, (3, *self.heads))[:, :, 0].transpose(1, 2)
        parts = [*self._earlier(x, query), self._now(query)]
        found = merge(*parts) if len(parts) == 2 else parts[0]
        joined = found.value.transpose(1, 2).flatten(2)
        return functional.linear(joined, self.output.weight).add_(self.output.bias)

    def _one(self, query: Float[Tensor, "r heads d"], position: int) -> Float[Tensor, "r c"]:
        """What one position's query finds, its own key and value being in place."""
        end = self.past + position + 1
        key, value = self.own[..., :end].flatten(1, 2).unbind(0)
        query = query.flatten(0, 1).unsqueeze(1)
        scores = torch.bmm(query, key)
        if self.shared is None:
            found = torch.bmm(scores.softmax(-1), value.transpose(1, 2))
            return found.view(self.own.shape[1], -1)
        keys, values = self.shared.flatten(1, 2).unbind(0)
        mixed = torch.bmm(self._by_sequence(query), keys)
        shares = torch.cat([self._by_row(mixed), scores], -1).softmax(-1)
        common, rest = shares.split([keys.shape[-1], end], -1)
        found = torch.bmm(self._by_sequence(common), values.transpose(1, 2))
        found = torch.baddbmm(self._by_row(found), rest, value.transpose(1, 2))
        return found.view(self.own.shape[1], -1)

    def _earlier(self, x: Tensor, query: Tensor) -> list[Attended]:
        """What all positions find before the portion being drawn, if there is anything."""
        if not self.past and self.shared is None:
            return []
        if self._seen is None:
            self._seen, self._found = x, self._look_up(query)
            return [self._found]
        changed = (x != self._seen).any(2)
        for row in changed.any(1).nonzero().flatten().tolist():
            places = changed[row].nonzero().squeeze(1)
            again = self._look_up(query[row : row + 1, :, places], row)
            self._found.value[row, :, places] = again.value[0]
            self._found.log_sum[row, :, places] = again.log_sum[0]
        self._seen = x
        return [self._found]

    def _keys_values(self, projected: Float[Tensor, "r n c3"]) -> Float[Tensor, "2 r heads d n"]:
        parts = projected.unflatten(2, (3, *self.heads))[:, :, 1:]
        return parts.permute(2, 0, 3, 4, 1).contiguous()

    def _look_up(self, query: Float[Tensor, "r heads u d"], row: int | None = None) -> Attended:
        """What queries of all rows, or of one, find before the portion being drawn."""
        parts = []
        if self._shared_rows is not None:
            parts.append(self._in_context(query, self._shared_rows, row))
        if self.past:
            self._past_rows = self._past_rows or Rows.of(self.own[..., : self.past])
            rows = self._past_rows if row is None else self._past_rows.one(row)
            parts.append(_attend(query, rows))
        return merge(*parts) if len(parts) == 2 else parts[0]

    def _in_context(self, query: Tensor, shared: Rows, row: int | None) -> Attended:
        """What queries find in the context that rows share."""
        batch = len(shared.key)
        if row is not None:
            return _attend(query, shared.one(row % batch))
        samples = len(query) // batch
        folded = query.unflatten(0, (samples, batch)).permute(1, 2, 0, 3, 4).flatten(2, 3)
        found = _attend(folded, shared)
        value = found.value.unflatten(2, (samples, -1)).permute(2, 0, 1, 3, 4).flatten(0, 1)
        sums = found.log_sum.unflatten(2, (samples, -1)).permute(2, 0, 1, 3).flatten(0, 1)
        return Attended(value, sums)

    def _now(self, query: Float[Tensor, "r heads p d"]) -> Attended:
        """What queries of all positions find in the portion being drawn, up to themselves."""
        return _attend(query, Rows.of(self.own[..., self.past :]), causal=True)

    @cached_property
    def _shared_rows(self) -> "Rows | None":
        return None if self.shared is None else Rows.of(self.shared)

    def _by_sequence(self, x: Tensor) -> Tensor:
        """`(s b heads) 1 n` as `(b heads) s n`."""
        assert self.shared is not None
        return x.view(-1, self.shared.shape[1] * self.shared.shape[2], x.shape[-1]).transpose(0, 1)

    def _by_row(self, x: Tensor) -> Tensor:
        """The other way round."""
        return x.transpose(0, 1).reshape(-1, 1, x.shape[-1])


def _attend(query: Tensor, rows: Rows, *, causal: bool = False) -> Attended:
    size = query.shape[-1]
    query = functional.pad(query, (0, rows.key.shape[-1] - size))
    found = attend(query, rows.key, rows.value, 1.0, causal=causal)
    return Attended(found.value[..., :size], found.log_sum)
