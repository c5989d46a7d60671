"""A gated PixelCNN extended in time, over a volume of tokens.

Tokens come slice by slice, in raster order inside a slice. Two stacks, as in an image, leave no
blind spot inside a slice: the vertical one sees the rows above a place, the horizontal one what is
left of it in its own row, and the vertical one's maps. A third one sees past slices, which are
known as a whole, and gives its maps to the vertical one. The vertical stack's own maps of past
slices would not do: each of them lacks its row and those below, so that of the slice before, a
place would never see more than half a filter downwards. Nothing is masked: every filter has the
size of what it may see.

Reference:
    Walker, Razavi, van den Oord, Predicting Video with VQVAE, section 3.2 and Tables 4 to 8;
    van den Oord et al., Conditional Image Generation with PixelCNN Decoders (2016).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.attention import CausalAttention
from framecast.layers.norm import normalised
from framecast.layers.recompute import recompute
from framecast.layers.typed import Layers

COORDINATES = 3
"""Numbers that tell the attention a position: time, row and column."""


@dataclass(frozen=True)
class PriorConfig(Config):
    """Sizes of a gated PixelCNN; the defaults are the paper's top prior (Table 4)."""

    layers: int = 40
    """Gated layers of both stacks."""
    hidden: int = 512
    """Channels of a map."""
    residual: int = 1024
    """Channels inside a layer, half of which gate the other half."""
    kernel: int = 3
    """Filter size, in space and time."""
    dropout: float = 0.5
    """Share of what a layer adds that is dropped in training."""
    attention_every: int = 5
    """Layers from one attention to the next; 0 for none."""
    heads: int = 8
    """Heads of each attention."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.layers, self.hidden, self.heads) < 1 or self.attention_every < 0:
            raise ConfigError(
                "layers, hidden and heads are at least 1 and attention_every at least 0"
            )
        if self.hidden % self.heads:
            raise ConfigError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")
        if self.residual < 2 or self.residual % 2:
            raise ConfigError(f"residual is an even number of channels, got {self.residual}")
        if self.kernel < 3 or self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd and at least 3, got {self.kernel}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is from 0 to below 1, got {self.dropout}")


@dataclass(frozen=True)
class Window:
    """How far a convolution sees from a place; −1 leaves out the place's own row or column."""

    up: int = 0
    down: int = 0
    left: int = 0
    right: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.up + self.down + 1, self.left + self.right + 1


class WindowConv(nn.Conv2d):
    """A convolution of each slice by itself, zeros around it."""

    def __init__(self, inputs: int, outputs: int, window: Window) -> None:
        """Make the weights."""
        super().__init__(inputs, outputs, window.size)
        self.window = window

    def forward(self, input: Float[Tensor, "m c h w"]) -> Float[Tensor, "m c2 h w"]:  # noqa: A002
        """Maps of the same size."""
        window = self.window
        if window.up == window.down and window.left == window.right:
            return functional.conv2d(
                input, self.weight, self.bias, padding=(window.up, window.left)
            )
        sides = (window.left, window.right, window.up, window.down)
        return functional.conv2d(functional.pad(input, sides), self.weight, self.bias)


class TimeConv(nn.Module):
    """A convolution of whole slices, from `first` slices back on, by as many as it has taps."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], first: int, taps: int
    ) -> None:
        """Make the weights.

        Args:
            inputs: Channels in.
            outputs: Channels out.
            size: Odd numbers of rows and columns.
            first: The nearest slice that is seen: 0 for a place's own, 1 for the one before.
            taps: How many slices are seen.
        """
        super().__init__()
        self.first, self.taps = first, taps
        around = (size[0] // 2, size[1] // 2)
        self.slices = nn.Conv2d(inputs, taps * outputs, size, padding=around, bias=False)
        self.bias = nn.Parameter(torch.empty(outputs))
        for parameter in self.parameters():
            bound = 1 / math.sqrt(inputs * taps * math.prod(size))
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Float[Tensor, "m c h w"], slices: int) -> Float[Tensor, "m c2 h w"]:
        """Maps of volumes, slice after slice: m is (n slices); before the first one is zero."""
        given = self.slices(x).unflatten(0, (-1, slices)).unflatten(2, (self.taps, -1))
        shape = (*given.shape[:2], *given.shape[3:])
        found = self.bias.to(given.dtype).view(-1, 1, 1).expand(shape).clone()
        for back, part in enumerate(given.unbind(2), self.first):
            found[:, back:] += part[:, : max(0, slices - back)]
        return found.flatten(0, 1)


class PastLayer(nn.Module):
    """One layer of the stack over past slices, convolved in the x–t plane, then in the y–t one.

    One after the other, so that a layer reaches diagonally too; after them, as in every stack, a
    gate, and what is added to the layer's input.
    """

    def __init__(self, config: PriorConfig, conditions: int, taps: int) -> None:
        """Make the layer, for a conditioning of so many channels and so many slices."""
        super().__init__()
        hidden, residual, size = config.hidden, config.residual, config.kernel
        self.across = TimeConv(hidden, hidden, (1, size), 0, taps)
        self.along = TimeConv(hidden, residual, (size, 1), 0, taps)
        self.conditioning = nn.Conv2d(conditions, residual, 1, bias=False)
        self.output = nn.Conv2d(residual // 2, hidden, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.link = nn.Conv2d(hidden, residual, 1, bias=False)

    def forward(
        self, x: Float[Tensor, "m c h w"], slices: int, maps: Float[Tensor, "m c2 h w"]
    ) -> Float[Tensor, "m c h w"]:
        """The stack's maps, from those of the layer before and the conditioning."""
        inside = self.along(self.across(x, slices), slices) + self.conditioning(maps)
        return x + self.output(self.dropout(gate(inside, 1)))


Stacks = tuple[Tensor, Tensor, Tensor | None]
"""Maps of the vertical and of the horizontal stack, and of that over past slices."""


class GatedLayer(nn.Module):
    """One layer of all stacks."""

    def __init__(self, config: PriorConfig, conditions: int, taps: int, attends: bool) -> None:
        """Make the layer.

        Args:
            config: Sizes.
            conditions: Channels of the conditioning.
            taps: Slices that the stack over past slices sees at once; 0 for no such stack.
            attends: Whether an attention follows.
        """
        super().__init__()
        hidden, residual, half = config.hidden, config.residual, config.kernel // 2
        self.past = PastLayer(config, conditions, taps) if taps else None
        self.across = WindowConv(hidden, hidden, Window(left=half, right=half))
        self.along = WindowConv(hidden, residual, Window(up=half))
        self.beside = WindowConv(hidden, residual, Window(left=half))
        self.conditioning = nn.Conv2d(conditions, 2 * residual, 1, bias=False)
        self.link = nn.Conv2d(hidden, residual, 1, bias=False)
        self.vertical_output = nn.Conv2d(residual // 2, hidden, 1)
        self.horizontal_output = nn.Conv2d(residual // 2, hidden, 1)
        self.dropout = nn.Dropout(config.dropout)
        heads = config.heads
        self.attention = CausalAttention(hidden, heads, hidden + COORDINATES) if attends else None

    def forward(
        self,
        stacks: Stacks,
        slices: int,
        maps: Float[Tensor, "m c h w"],
        positions: Float[Tensor, "p 3"],
    ) -> Stacks:
        """The maps of all stacks, from those of the layer before and the conditioning."""
        v, h, past = stacks
        if past is not None and self.past is not None:
            past = self.past(past, slices, maps)
        for_v, for_h = self.given(maps, past)
        v = self.vertical(v, for_v)
        return v, self.attended(self.horizontal(h, v, for_h), slices, positions), past

    def given(
        self, maps: Float[Tensor, "m c h w"], past: Float[Tensor, "m c2 h w"] | None
    ) -> tuple[Float[Tensor, "m c3 h w"], Float[Tensor, "m c3 h w"]]:
        """What conditioning and past slices add to the vertical and to the horizontal stack."""
        vertical, horizontal = self.conditioning(maps).chunk(2, 1)
        if self.past is not None:
            vertical = vertical + self.past.link(past)
        return vertical, horizontal

    def vertical(
        self, v: Float[Tensor, "m c h w"], given: Float[Tensor, "m c2 h w"]
    ) -> Float[Tensor, "m c h w"]:
        """The vertical stack's maps, from those of the layer before."""
        inside = self.along(self.across(v)) + given
        return v + self.vertical_output(self.dropout(gate(inside, 1)))

    def horizontal(
        self,
        h: Float[Tensor, "m c h w"],
        v: Float[Tensor, "m c h w"],
        given: Float[Tensor, "m c2 h w"],
    ) -> Float[Tensor, "m c h w"]:
        """The horizontal stack's maps, before attention."""
        inside = self.beside(h) + self.link(v) + given
        return h + self.horizontal_output(self.dropout(gate(inside, 1)))

    def attended(
        self, h: Float[Tensor, "m c h w"], slices: int, positions: Float[Tensor, "p 3"]
    ) -> Float[Tensor, "m c h w"]:
        """The horizontal stack's maps, with what each place finds among those before it."""
        if self.attention is None:
            return h
        height, width = h.shape[-2:]
        places = h.unflatten(0, (-1, slices)).permute(0, 1, 3, 4, 2).flatten(1, 3)
        found = self.attention(placed(places, positions))
        found = found.unflatten(1, (slices, height, width)).permute(0, 1, 4, 2, 3)
        return h + found.flatten(0, 1)


class GatedPixelCNN(nn.Module):
    """Logits of every token of a volume, given those before it and a conditioning."""

    def __init__(self, config: PriorConfig, codewords: int, conditions: int, slices: int) -> None:
        """Make the layers.

        Args:
            config: Sizes.
            codewords: Values of a token.
            conditions: Channels of the conditioning.
            slices: Slices of a volume; of one there is no past.
        """
        super().__init__()
        hidden, size, every = config.hidden, config.kernel, config.attention_every
        half, taps = size // 2, min(size, slices) if slices > 1 else 0
        self.embedding = nn.Embedding(codewords, hidden)
        # the only convolution in all three directions
        self.past = TimeConv(hidden, hidden, (size, size), 1, taps - 1) if taps else None
        self.above = WindowConv(hidden, hidden, Window(half, -1, half, half))
        self.left = WindowConv(hidden, hidden, Window(left=half, right=-1))
        self.layers = Layers[GatedLayer](
            GatedLayer(config, conditions, taps, every > 0 and number % every == 0)
            for number in range(1, config.layers + 1)
        )
        self.output = nn.Linear(hidden, codewords)

    def forward(
        self,
        tokens: Int64[Tensor, "n u h w"],
        given: Float[Tensor, "n t c h w"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "n u h w m"]:
        """Logits of the first u slices of volumes of t; each depends on tokens before it alone.

        If `recomputed`, each layer keeps its inputs alone for the backward pass.
        """
        slices, *size = tokens.shape[1:]
        x, maps = self.embedded(tokens), given[:, :slices].flatten(0, 1)
        positions = coordinates(given.shape[1], *size)[: slices * math.prod(size)].to(x)
        past = None if self.past is None else self.past(x, slices)
        stacks: Stacks = self.above(x), self.left(x), past
        for layer in self.layers:
            stacks = recompute(layer, stacks, slices, maps, positions, when=recomputed)
        return self.logits(stacks[1].permute(0, 2, 3, 1)).unflatten(0, (-1, slices))

    def pasts(
        self, x: Float[Tensor, "m c h w"], slices: int, maps: Float[Tensor, "m c2 h w"]
    ) -> Iterator[Float[Tensor, "m c h w"] | None]:
        """Of each layer, the maps of past slices; None where there are none.

        Args:
            x: The embedded tokens; those of a slice do not count for itself.
            slices: Slices of a volume, m is (n slices).
            maps: The conditioning.
        """
        past = None if self.past is None else self.past(x, slices)
        for layer in self.layers:
            if past is not None and layer.past is not None:
                past = layer.past(past, slices, maps)
            yield past

    def embedded(self, tokens: Int64[Tensor, "n u h w"]) -> Float[Tensor, "m c h w"]:
        """The tokens' embeddings, slice after slice, as the convolutions read them."""
        return self.embedding(tokens).flatten(0, 1).permute(0, 3, 1, 2)

    def logits(self, h: Float[Tensor, "*n c"]) -> Float[Tensor, "*n m"]:
        """The 1×1 output, never in half precision."""
        with torch.autocast(h.device.type, enabled=False):
            return self.output(functional.relu(h).to(self.output.weight.dtype))


def gate(inside: Float[Tensor, "*n"], axis: int) -> Float[Tensor, "*n2"]:
    """tanh of one half of the channels times the sigmoid of the other."""
    value, share = inside.chunk(2, axis)
    return value.tanh() * share.sigmoid()


def placed(
    places: Float[Tensor, "n p c"], positions: Float[Tensor, "p 3"]
) -> Float[Tensor, "n p c3"]:
    """What an attention reads: each place normalised, and where it is."""
    where = positions.expand(len(places), -1, -1)
    return torch.cat([normalised(places), where], -1)


def coordinates(slices: int, height: int, width: int) -> Float[Tensor, "p 3"]:
    """Time, row and column of every place in raster order, from −1 to 1 whatever the size."""
    axes = [(2 * torch.arange(n) + 1.0) / n - 1 for n in (slices, height, width)]
    return torch.cartesian_prod(*axes).view(-1, COORDINATES)
