"""A gated PixelCNN place by place, by products.

When a row begins, the rows above it are complete, and with them the vertical stack's row: it is
computed at once, layer by layer, with what it and the conditioning give to the horizontal stack.
Each place then costs the horizontal stack alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from framecast.layers.attention_cache import Memory
from framecast.layers.norm import normalised
from framecast.models.video_vqvae.gated import GatedLayer, GatedPixelCNN, WindowConv, gate


@dataclass(frozen=True)
class Product:
    """A convolution of a place's own slice, its taps row by row before its channels."""

    weight: Float[Tensor, "c2 n"]
    bias: Float[Tensor, " c2"]

    @classmethod
    def of(cls, convolution: WindowConv) -> "Product":
        """Reorder the weights."""
        assert convolution.bias is not None
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1).contiguous()
        return cls(weight, convolution.bias)

    def __call__(self, x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c2"]:
        """From the channels of all taps."""
        return functional.linear(x, self.weight, self.bias)


class LayerPlaces:
    """One layer: a row of the vertical stack, then the places of the row."""

    def __init__(self, layer: GatedLayer, rows: int, width: int) -> None:
        """Prepare the products."""
        self.across, self.along = Product.of(layer.across), Product.of(layer.along)
        beside = Product.of(layer.beside)
        self.beside, self.bias = beside.weight.t(), beside.bias
        self.conditioning = layer.conditioning.weight.flatten(1)
        self.link = layer.link.weight.flatten(1)
        self.past = None if layer.past is None else layer.past.link.weight.flatten(1)
        outputs = (layer.vertical_output, layer.horizontal_output)
        self.outputs = [(part.weight.flatten(1), part.bias) for part in outputs]
        self.half = layer.beside.window.left
        line = self.link.new_zeros(rows, self.half + width, self.link.shape[1])
        self.places = line.unbind(1)[self.half :]
        self.windows = [line[:, x : x + self.half + 1] for x in range(width)]

    def begin(self, past: Float[Tensor, "r c h w"] | None) -> None:
        """Start a slice, with the layer's maps of past ones."""
        self.over = None if past is None else _rows(past)
        self.recent: list[Tensor] = []

    def row(
        self, number: int, v: Float[Tensor, "r w c"], given: Float[Tensor, "r w c2"]
    ) -> Float[Tensor, "r w c"]:
        """The vertical stack's row, from that of the layer before and the conditioning."""
        for_v, for_h = functional.linear(given, self.conditioning).chunk(2, -1)
        if self.over is not None and self.past is not None:
            for_v = for_v + functional.linear(self.over[number], self.past)
        u = self.across(_windows(v, self.half))
        self.recent = [*(self.recent or [torch.zeros_like(u)] * self.half), u]
        inside = self.along(torch.cat(self.recent, -1)) + for_v
        self.recent = self.recent[1:]
        v = v + functional.linear(gate(inside, -1), *self.outputs[0])
        constant = functional.linear(v, self.link, self.bias) + for_h
        self.constant = constant.unbind(1)
        return v

    def step(self, column: int, h: Float[Tensor, "r c"]) -> Float[Tensor, "r c"]:
        """The horizontal stack at one place, before attention."""
        self.places[column].copy_(h)
        inside = torch.addmm(self.constant[column], self.windows[column].flatten(1), self.beside)
        return functional.linear(gate(inside, -1), *self.outputs[1]).add_(h)


class Places:
    """All layers, slice after slice."""

    def __init__(self, net: GatedPixelCNN, rows: int, size: Sequence[int]) -> None:
        """Prepare for volumes of this many rows and of this size, height and width."""
        self.net = net
        self.height, self.width = size
        self.half = net.left.window.left
        self.above, self.left = Product.of(net.above), Product.of(net.left)
        self.layers = [LayerPlaces(layer, rows, self.width) for layer in net.layers]
        # the tokens' embeddings, with zeros above, left and right
        shape = (rows, self.height + self.half, self.width + 2 * self.half)
        self.cells = net.embedding.weight.new_zeros(*shape, net.embedding.embedding_dim)

    def begin(
        self,
        given: Float[Tensor, "r c h w"],
        pasts: Sequence[Float[Tensor, "r c2 h w"] | None],
    ) -> None:
        """Start a slice, with its conditioning and each layer's maps of past slices."""
        self.given = _rows(given)
        for layer, past in zip(self.layers, pasts, strict=True):
            layer.begin(past)

    def put(self, position: int, tokens: Int64[Tensor, " r"]) -> None:
        """Let a place have these tokens."""
        row, column = divmod(position, self.width)
        found = functional.embedding(tokens, self.net.embedding.weight)
        self.cells[:, row + self.half, column + self.half] = found

    def row(self, number: int) -> None:
        """Begin a row; those above it are complete."""
        over = self.cells[:, number : number + self.half]
        columns = over.unfold(2, 2 * self.half + 1, 1).permute(0, 2, 1, 4, 3).flatten(2)
        v = self.above(columns)
        given = self.given[number]
        for layer in self.layers:
            v = layer.row(number, v, given)

    def step(
        self,
        row: int,
        column: int,
        where: Float[Tensor, " 3"],
        memories: Sequence[Memory | None],
    ) -> Float[Tensor, "r m"]:
        """Logits of a place of the row."""
        h = self.left(self.cells[:, row + self.half, column : column + self.half].flatten(1))
        here = where.expand(len(h), -1)
        for layer, memory in zip(self.layers, memories, strict=True):
            h = layer.step(column, h)
            if memory is not None:
                read = torch.cat([normalised(h), here], 1)
                h = memory.step(row * self.width + column, read).add_(h)
        return self.net.output(h.relu_())


def _rows(maps: Float[Tensor, "r c h w"]) -> tuple[Float[Tensor, "r w c"], ...]:
    """The rows of maps, channels last."""
    return maps.permute(0, 2, 3, 1).unbind(1)


def _windows(x: Float[Tensor, "r w c"], half: int) -> Float[Tensor, "r w n"]:
    """The channels of all places around each one of a row, zeros beside it."""
    padded = functional.pad(x, (0, 0, half, half))
    return padded.unfold(1, 2 * half + 1, 1).transpose(2, 3).flatten(2)
