"""What one layer's network of an ST-PixelCNN keeps while it draws frame after frame.

Of every convolution: the last two frames that it read, what they give to the frame being drawn, and
that frame as far as it is known. Of the attention: keys and values of all positions so far, those
of the context once per sequence, however many samples are drawn from it; nothing of an attention
that is silent.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from framecast.layers.attention import HEAD_MULTIPLE, Attended, attend, merge
from framecast.models.s_hr_vqvae.prior_net import CausalConv3d, LayerNet, MaskedConv3d, normalised

PAST = 2
"""Frames before its own that a convolution reads."""


class PastFrames:
    """The last frames that a convolution read, and what they give to the next one."""

    def __init__(self, convolution: CausalConv3d, frames: Float[Tensor, "b c t h w"]) -> None:
        """Keep the last of the frames that a context gave; what is missing before them is zero."""
        self.weight = convolution.taps()[:, :, :PAST].transpose(1, 2).flatten(1, 2).contiguous()
        self.bias = convolution.bias
        missing = max(0, PAST - frames.shape[2])
        padded = functional.pad(frames, (0, 0, 0, 0, missing, 0))
        self.frames = padded[:, :, -PAST:].transpose(1, 2)

    def repeat(self, samples: int) -> None:
        """The same past for all samples of each sequence."""
        self.frames = self.frames.repeat(samples, 1, 1, 1, 1)

    def contribution(self) -> Float[Tensor, "r c h w"]:
        """What the past frames give to each place of the next frame, bias included."""
        return functional.conv2d(self.frames.flatten(1, 2), self.weight, self.bias, padding=1)

    def push(self, frame: Float[Tensor, "r c h w"]) -> None:
        """The next frame becomes the last one."""
        self.frames = torch.stack([*self.frames.unbind(1)[1:], frame], 1)


class Grid:
    """The frame being drawn as a masked convolution reads it, with a border of zeros.

    A place's neighbours before it in raster order are above and to the left, so the border is a row
    on top and a column at either side.
    """

    def __init__(self, convolution: MaskedConv3d, rows: int, height: int, width: int) -> None:
        """Make an empty frame."""
        weight = convolution.taps()[:, :, PAST].flatten(2)
        self.taps = [tap for tap in range(9) if bool(convolution.mask[PAST].view(-1)[tap])]
        self.weight = weight[:, :, self.taps].permute(2, 1, 0).flatten(0, 1).contiguous()
        self.height, self.width, channels = height, width, weight.shape[1]
        self.cells = weight.new_zeros(rows, (height + 1) * (width + 2), channels)
        self.view = self.cells.unflatten(1, (height + 1, width + 2))[:, 1:, 1:-1]
        starts = [y * (width + 2) + x for y in range(height) for x in range(width)]
        steps = torch.tensor([tap // 3 * (width + 2) + tap % 3 for tap in self.taps])
        around = torch.tensor(starts)[:, None] + steps
        self.around = around.to(weight.device)
        self.neighbours = self.around.unbind(0)
        place = self.cells.unbind(1)
        self.places = [place[start + width + 3] for start in starts]

    def at(self, position: int) -> Float[Tensor, "r n"]:
        """The channels of all neighbours of one place."""
        return self.cells.index_select(1, self.neighbours[position]).flatten(1)

    def everywhere(self) -> Float[Tensor, "r p n"]:
        """The channels of the neighbours of every place."""
        found = self.cells.index_select(1, self.around.flatten())
        return found.view(len(found), len(self.neighbours), -1)

    def fill(self, frame: Float[Tensor, "r p c"]) -> None:
        """Put a whole frame."""
        self.view.copy_(frame.unflatten(1, (self.height, self.width)))

    def frame(self) -> Float[Tensor, "r c h w"]:
        """The frame as it stands."""
        return self.view.permute(0, 3, 1, 2).clone()


@dataclass(frozen=True)
class Rows:
    """Keys and values row by row, filled up with zeros, for many queries at once."""

    key: Float[Tensor, "r heads n d"]
    value: Float[Tensor, "r heads n d"]

    @classmethod
    def of(cls, memory: Float[Tensor, "2 r heads d n"]) -> "Rows":
        """Turn what is kept with the position last."""
        fill = -memory.shape[3] % HEAD_MULTIPLE
        return cls(*functional.pad(memory.transpose(3, 4), (0, fill)).unbind(0))

    def one(self, row: int) -> "Rows":
        """Those of one row."""
        return Rows(self.key[row : row + 1], self.value[row : row + 1])


@dataclass
class Memory:
    """Keys and values of past positions.

    Position last, because one query against many keys is then a product over contiguous rows.
    """

    own: Float[Tensor, "2 r heads d n"]  # of each row, with places for the frame being drawn
    shared: Float[Tensor, "2 b heads d k"] | None  # of the context, where rows share it
    past: int = field(init=False)  # positions of `own` before the frame being drawn
    _past_rows: Rows | None = field(init=False, default=None)  # made when first asked for

    def __post_init__(self) -> None:
        """All that is given is past."""
        self.past = self.own.shape[-1]

    def begin(self, positions: int) -> None:
        """Make place for the next frame; what there was becomes the past."""
        self.past = self.own.shape[-1]
        self.own = functional.pad(self.own, (0, positions))
        self._past_rows = None

    def one(self, query: Float[Tensor, "r heads d"], position: int) -> Float[Tensor, "r c"]:
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

    def earlier(self, query: Float[Tensor, "r heads u d"], row: int | None = None) -> Attended:
        """What queries of all rows, or of one, find before the frame being drawn."""
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

    def now(self, query: Float[Tensor, "r heads p d"]) -> Attended:
        """What queries of all positions find in the frame being drawn, up to themselves."""
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


class LayerCache:
    """One layer's network, frame by frame: all positions at once, or one after another."""

    def __init__(
        self,
        net: LayerNet,
        own: Float[Tensor, "b d t h w"],
        given: Float[Tensor, "b d t h w"],
        samples: int,
    ) -> None:
        """Read the context, given as in the network's forward, for `samples` rows of each."""
        features, places = net.features(own, given)
        batch, *_, self.height, self.width = own.shape
        rows = samples * batch
        self.net = net
        self.grids = [Grid(c, rows, self.height, self.width) for c in net.convolutions]
        self.pasts = [PastFrames(*pair) for pair in zip(net.convolutions, features, strict=True)]
        self.given = None if net.conditioning is None else PastFrames(net.conditioning, given)
        for past in (*self.pasts, *([self.given] if self.given else [])):
            past.repeat(samples)
        self._project(net)
        self.memory = None if net.attention.silent else self._remember(places, samples)

    def begin(self, given: Float[Tensor, "r d h w"], candidates: Float[Tensor, "r p m d"]) -> None:
        """Start the next frame.

        Args:
            given: The sum of the codewords of the layers before this one, in this frame.
            candidates: The codeword that each token would stand for at each position.
        """
        contributions = [past.contribution() for past in self.pasts]
        if self.given is not None and self.net.conditioning is not None:
            weight = self.net.conditioning.taps()[:, :, PAST]
            now = functional.conv2d(given, weight, padding=1)
            contributions[0] = contributions[0] + self.given.contribution() + now
            self.given.push(given)
        flat = [part.flatten(2).transpose(1, 2).contiguous() for part in contributions]
        self.constant = [part.unbind(1) for part in flat]
        self.constants = flat
        rows, positions, values, _ = candidates.shape
        self.candidates = candidates.flatten(0, 2)
        starts = torch.arange(rows * positions, device=candidates.device) * values
        self.starts = starts.view(rows, positions)
        self.start = self.starts.unbind(1)
        if self.memory is not None:
            self.memory.begin(positions)
        self.seen: Tensor | None = None

    def step(self, position: int, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r m"]:
        """Logits of one position; the tokens before it are known, and were so to earlier calls."""
        first, *rest = self.grids
        if position:
            index = self.start[position - 1] + tokens[:, position - 1]
            first.places[position - 1].copy_(self.candidates.index_select(0, index))
        x = torch.addmm(self.constant[0][position], first.at(position), first.weight)
        for grid, constant in zip(rest, self.constant[1:], strict=True):
            torch.clamp_min(x, 0, out=grid.places[position])
            x = torch.addmm(constant[position], grid.at(position), grid.weight).add_(x)
        memory = self.memory
        if memory is None:
            return self.net.output(x.relu_())
        projected = functional.linear(normalised(x), *self.projection)
        projected = projected.unflatten(1, (3, *self.heads))
        memory.own[..., memory.past + position].copy_(projected[:, 1:].transpose(0, 1))
        found = memory.one(projected[:, 0], position)
        return self._logits(x, found)

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions.

        What a position finds in earlier frames is looked up again only if its query has changed
        since the last call for this frame.
        """
        first, *rest = self.grids
        first.fill(self._codewords(tokens))
        x = self.constants[0] + first.everywhere() @ first.weight
        for grid, constant in zip(rest, self.constants[1:], strict=True):
            grid.fill(functional.relu(x))
            x = x + constant + grid.everywhere() @ grid.weight
        memory = self.memory
        if memory is None:
            return self.net.output(x.relu_())
        projected = functional.linear(normalised(x), *self.projection)
        memory.own[..., memory.past :] = self._keys_values(projected)
        query = projected[..., : x.shape[-1]].unflatten(2, self.heads).transpose(1, 2)
        found = merge(self._earlier(x, query, memory), memory.now(query)).value
        return self._logits(x, found.transpose(1, 2).flatten(2))

    def finish(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r d h w"]:
        """End the frame with these tokens, which the last calls were given; their codewords."""
        self.grids[0].fill(self._codewords(tokens))
        for past, grid in zip(self.pasts, self.grids, strict=True):
            past.push(grid.frame())
        return self.grids[0].frame()

    def _earlier(self, x: Tensor, query: Tensor, memory: Memory) -> Attended:
        """What all positions find in earlier frames."""
        if self.seen is None:
            self.seen, self.found = x, memory.earlier(query)
            return self.found
        changed = (x != self.seen).any(2)
        for row in changed.any(1).nonzero().flatten().tolist():
            places = changed[row].nonzero().squeeze(1)
            again = memory.earlier(query[row : row + 1, :, places], row)
            self.found.value[row, :, places] = again.value[0]
            self.found.log_sum[row, :, places] = again.log_sum[0]
        self.seen = x
        return self.found

    def _codewords(self, tokens: Tensor) -> Tensor:
        return functional.embedding(self.starts + tokens, self.candidates)

    def _project(self, net: LayerNet) -> None:
        """Queries (scaled already), keys and values as one layer."""
        attention = net.attention
        layers = (attention.query, attention.key, attention.value)
        scales = (attention.scale, 1.0, 1.0)
        pairs = list(zip(layers, scales, strict=True))
        weight = torch.cat([layer.weight * scale for layer, scale in pairs])
        bias = torch.cat([layer.bias * scale for layer, scale in pairs])
        self.projection = weight, bias
        self.heads = attention.heads, attention.size

    def _remember(self, places: Float[Tensor, "b n c"], samples: int) -> Memory:
        """Keys and values of the context, once per sequence."""
        context = self._keys_values(functional.linear(normalised(places), *self.projection))
        if samples == 1:
            return Memory(context, None)
        empty = context.new_zeros(2, samples * len(places), *context.shape[2:4], 0)
        return Memory(empty, context)

    def _keys_values(self, projected: Float[Tensor, "r n c3"]) -> Float[Tensor, "2 r heads d n"]:
        parts = projected.unflatten(2, (3, *self.heads))[:, :, 1:]
        return parts.permute(2, 0, 3, 4, 1).contiguous()

    def _logits(self, x: Tensor, found: Tensor) -> Tensor:
        joined = functional.linear(found, self.net.attention.output.weight)
        joined = joined.add_(self.net.attention.output.bias).add_(x)
        return self.net.output(joined.relu_())


class LayerReplay:
    """One layer's network without a cache: all frames are gone through again for every answer."""

    def __init__(
        self,
        net: LayerNet,
        own: Float[Tensor, "b d t h w"],
        given: Float[Tensor, "b d t h w"],
        samples: int,
    ) -> None:
        """Keep the context; the arguments are those of `LayerCache`."""
        self.net = net
        self.own, self.given = (x.repeat(samples, 1, 1, 1, 1) for x in (own, given))

    def begin(self, given: Float[Tensor, "r d h w"], candidates: Float[Tensor, "r p m d"]) -> None:
        """Start the next frame, as `LayerCache` does."""
        self.given = torch.cat([self.given, given.unsqueeze(2)], 2)
        self.candidates = candidates

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions."""
        own = torch.cat([self.own, self._codewords(tokens).unsqueeze(2)], 2)
        logits = self.net(own, self.given, self.own.shape[2])
        return logits.squeeze(1).flatten(2).transpose(1, 2)

    def finish(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r d h w"]:
        """End the frame with these tokens; their codewords."""
        codewords = self._codewords(tokens)
        self.own = torch.cat([self.own, codewords.unsqueeze(2)], 2)
        return codewords

    def _codewords(self, tokens: Tensor) -> Tensor:
        index = tokens[..., None, None].expand(-1, -1, 1, self.candidates.shape[-1])
        chosen = self.candidates.gather(2, index).squeeze(2).transpose(1, 2)
        return chosen.unflatten(2, self.own.shape[-2:])
