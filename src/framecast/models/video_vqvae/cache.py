"""Drawing a volume of tokens from a gated PixelCNN, slice after slice.

What past slices give to a slice is computed once, when it begins. Of the attention keys and values
are kept, and nothing else of a slice that is drawn but its tokens. It is drawn all places at once,
from a guess, or place by place (`places.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from framecast.layers.attention_cache import Memory
from framecast.layers.autoregressive import Named, Rule, Sampler, draw
from framecast.models.video_vqvae.gated import (
    COORDINATES,
    GatedPixelCNN,
    coordinates,
    placed,
)
from framecast.models.video_vqvae.places import Places
from framecast.noise import Noise


@dataclass(frozen=True)
class DrawnSlice:
    """The tokens of one slice."""

    tokens: Int64[Tensor, "r h w"]  # rows are (s b)
    log_prob: Float[Tensor, " r"]  # nats, by the untempered prior
    passes: int  # evaluations of the network that had to wait for one another


@dataclass(frozen=True)
class Drawing:
    """How the tokens of a volume are drawn; all samplers draw the same."""

    noise: Noise | None  # a stream per row, one Gumbel draw per slice; None for the likeliest
    rule: Rule
    sampler: Sampler = "auto"

    def volume(
        self,
        net: GatedPixelCNN,
        given: Float[Tensor, "r t c h w"],
        guess: Int64[Tensor, "r h w"],
    ) -> Iterator[DrawnSlice]:
        """Draw slice after slice of a volume; the network is in eval mode.

        Args:
            net: The network.
            given: The conditioning of every slice; rows are (s b).
            guess: Tokens that the first slice may resemble, for `fixed-point` to start from.
        """
        _, slices, _, *size = given.shape
        chosen = default_sampler(given.device) if self.sampler == "auto" else self.sampler
        with exactly(given.device):
            volume = (VolumeReplay if chosen == "naive" else VolumeCache)(net, given)
        tokens = guess.flatten(1)
        for _ in range(slices):
            noise = None
            if self.noise is not None:
                noise = self.noise.gumbel(*size, net.output.out_features)
                noise = noise.flatten(0, 1).flatten(1, 2).to(given)
            with exactly(given.device):
                volume.begin()
                drawn = draw(chosen, volume, tokens, noise, self.rule)
                tokens = drawn.tokens
                volume.finish(tokens)
            yield DrawnSlice(tokens.unflatten(1, size), drawn.log_prob, drawn.passes)


def default_sampler(device: torch.device) -> Named:
    """What `auto` stands for here.

    A place costs little beside a pass over its whole slice, so that on a CPU `cached` lost little
    where guesses agreed soon and won much where they did not.
    """
    return "cached" if device.type == "cpu" else "fixed-point"


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Without gradients, and never in half precision."""
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


class VolumeCache:
    """A network's volume, slice by slice: all places at once, or one after another."""

    def __init__(self, net: GatedPixelCNN, given: Float[Tensor, "r t c h w"]) -> None:
        """Begin a volume with this conditioning."""
        rows, slices, _, *self.size = given.shape
        self.net, self.given, self.number = net, given, -1
        self.drawn = torch.zeros(rows, 0, *self.size, dtype=torch.int64, device=given.device)
        self.positions = coordinates(slices, *self.size).to(given).chunk(slices)
        nowhere = given.new_zeros(rows, 0, net.output.in_features + COORDINATES)
        self.memories = [
            None if layer.attention is None else Memory(layer.attention, nowhere, 1)
            for layer in net.layers
        ]
        self.places: Places | None = None

    def begin(self) -> None:
        """Start the next slice."""
        self.number += 1
        self.pasts = self._pasts()
        self.added: list[tuple[Tensor, Tensor]] | None = None
        for memory in self.memories:
            if memory is not None:
                memory.begin(self.size[0] * self.size[1])
        if self.places is not None:
            self.places.begin(self.given[:, self.number], self.pasts)

    def step(self, position: int, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r m"]:
        """Logits of one position; the tokens before it are known, and were so to earlier calls."""
        if self.places is None:
            self.places = Places(self.net, len(tokens), self.size)
            self.places.begin(self.given[:, self.number], self.pasts)
        if position:
            self.places.put(position - 1, tokens[:, position - 1])
        row, column = divmod(position, self.size[1])
        if column == 0:
            self.places.row(row)
        where = self.positions[self.number][position]
        return self.places.step(row, column, where, self.memories)

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions."""
        net, where = self.net, self.positions[self.number]
        if self.added is None:
            # the same for every guess
            maps = self.given[:, self.number]
            pairs = zip(net.layers, self.pasts, strict=True)
            self.added = [layer.given(maps, past) for layer, past in pairs]
        x = net.embedded(tokens.unflatten(1, (1, *self.size)))
        v, h = net.above(x), net.left(x)
        parts = zip(net.layers, self.added, self.memories, strict=True)
        for layer, (for_v, for_h), memory in parts:
            v = layer.vertical(v, for_v)
            h = layer.horizontal(h, v, for_h)
            if memory is not None:
                read = placed(h.flatten(2).transpose(1, 2), where)
                h = h + memory.portion(read).transpose(1, 2).unflatten(2, self.size)
        return net.logits(h.flatten(2).transpose(1, 2))

    def finish(self, tokens: Int64[Tensor, "r p"]) -> None:
        """End the slice with these tokens, which the last calls were given."""
        self.drawn = torch.cat([self.drawn, tokens.unflatten(1, (1, *self.size))], 1)

    def _pasts(self) -> list[Float[Tensor, "r c h w"] | None]:
        """What each layer's stack over past slices makes of them, for the slice that begins."""
        known = functional.pad(self.drawn, (0, 0, 0, 0, 0, 1))
        slices = known.shape[1]
        maps = self.given[:, :slices].flatten(0, 1)
        every = self.net.pasts(self.net.embedded(known), slices, maps)
        # a copy, so that earlier slices can go
        return [part if part is None else part[slices - 1 :: slices].clone() for part in every]


class VolumeReplay:
    """A network's volume without a cache: all slices are gone through again for every answer."""

    def __init__(self, net: GatedPixelCNN, given: Float[Tensor, "r t c h w"]) -> None:
        """Begin a volume with this conditioning."""
        self.net, self.given = net, given
        self.past = torch.zeros(
            len(given), 0, *given.shape[3:], dtype=torch.int64, device=given.device
        )

    def begin(self) -> None:
        """Start the next slice, as `VolumeCache` does."""

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of all positions."""
        return self.net(self._with(tokens), self.given)[:, -1].flatten(1, 2)

    def finish(self, tokens: Int64[Tensor, "r p"]) -> None:
        """End the slice with these tokens."""
        self.past = self._with(tokens)

    def _with(self, tokens: Int64[Tensor, "r p"]) -> Int64[Tensor, "r u h w"]:
        return torch.cat([self.past, tokens.view(-1, 1, *self.past.shape[2:])], 1)
