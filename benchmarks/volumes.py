"""The samplers of Video VQ-VAE's priors at the paper's geometry, at a reduced width.

Top prior: 3 slices of 32×32 (or as asked for), 40 layers, filter 3. Bottom prior: 6 slices of twice
the size, 20 layers, filter 5. Attention every 5 layers, 512 codewords, random weights and codes.
`samplers.py` prints the table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from framecast.layers.autoregressive import Rule
from framecast.models.video_vqvae.bottom import (
    BottomConditioningConfig,
    BottomConfig,
    BottomPrior,
)
from framecast.models.video_vqvae.cache import Drawing, DrawnSlice, VolumeCache, VolumeReplay
from framecast.models.video_vqvae.gated import GatedPixelCNN
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig, TopPrior
from framecast.noise import Noise
from timing import timed

CODEWORDS, TOPS = 512, 4


@dataclass(frozen=True)
class VolumeRow:
    """One line of the table."""

    name: str
    seconds: float
    passes: int | None = None
    kept: int | None = None  # bytes of a row


class Priors:
    """Both priors, and random codes of 16 frames."""

    def __init__(self, hidden: int, samples: int, side: int) -> None:
        """Make them with so many hidden channels, twice as many inside a layer.

        `side` is the height and width of the top grid; no samples are the likeliest tokens.
        """
        sizes = {"hidden": hidden, "residual": 2 * hidden}
        above = TopConditioningConfig(hidden // 4, hidden // 2, residual=hidden // 4)
        below = BottomConditioningConfig(hidden // 4, 2 * hidden, residual=hidden // 4)
        values = (CODEWORDS, CODEWORDS)
        self.top = TopPrior(TopConfig(**sizes, conditioning=above), values, 1, TOPS - 1).eval()
        self.bottom = BottomPrior(BottomConfig(**sizes, conditioning=below), values).eval()
        self.samples, self.rows = samples, samples or 1
        self.tops = torch.randint(CODEWORDS, (1, TOPS, side, side))
        self.bottoms = torch.randint(CODEWORDS, (1, 2 * TOPS, 2 * side, 2 * side))

    def drawn(self, level: str, sampler: str) -> list[DrawnSlice]:
        """The slices of a level's future."""
        noise = Noise.of(0, range(1), self.samples) if self.samples else None
        how = Drawing(noise, Rule(), sampler)  # pyright: ignore[reportArgumentType]
        if level == "top":
            context = self.tops[:, :1], self.bottoms[:, :2]
            return list(self.top.generate(*context, self.rows, how))
        rows = [x.repeat(self.rows, 1, 1, 1) for x in (self.tops, self.bottoms[:, :2])]
        return list(self.bottom.generate(*rows, how))

    def volumes(self, level: str) -> Iterator[tuple[GatedPixelCNN, Tensor, Tensor]]:
        """A level's network, conditioning and tokens of every volume."""
        tops, bottoms = (x.repeat(self.rows, 1, 1, 1) for x in (self.tops, self.bottoms))
        if level == "top":
            yield self.top.net, self.top.conditioning(tops[:, :1], bottoms[:, :2]), tops[:, 1:]
            return
        for number in range(2, 2 * TOPS):
            given = self.bottom.conditioning(tops, bottoms, number).unsqueeze(1)
            yield self.bottom.net, given, bottoms[:, number : number + 1]


def naive_seconds(priors: Priors, level: str, count: int) -> float:
    """Seconds of all positions, from about `count` of them, as many of each slice."""
    slices = TOPS - 1 if level == "top" else 2 * TOPS - 2
    total, each = 0.0, -(-count // slices)
    for net, given, tokens in priors.volumes(level):
        replay = VolumeReplay(net, given)
        for one in tokens.flatten(2).unbind(1):
            work = [timed(lambda one=one, replay=replay: replay.logits(one)) for _ in range(each)]
            total += sum(work) / each * one.shape[1]
            replay.finish(one)
    return total


def kept(priors: Priors, level: str, sampler: str) -> int:
    """Bytes that a cache holds for a row in the last slice, without the network's own weights."""
    net, given, tokens = list(priors.volumes(level))[-1]
    cache = VolumeCache(net, given)
    for one in tokens.flatten(2).unbind(1):
        cache.begin()
        if sampler == "cached":
            cache.step(0, one)
        else:
            cache.logits(one)
        if cache.number + 1 < tokens.shape[1]:
            cache.finish(one)
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    found: dict[int, int] = {}
    weigh(cache, found, set())
    return sum(size for place, size in found.items() if place not in own) // priors.rows


def weigh(value: object, found: dict[int, int], seen: set[int]) -> None:
    """Add the bytes of all tensors that an object holds, by where they are."""
    if id(value) in seen or isinstance(value, nn.Module):
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        found[storage.data_ptr()] = storage.nbytes()
    elif isinstance(value, list | tuple):
        for item in value:
            weigh(item, found, seen)
    elif hasattr(value, "__dict__"):
        weigh(list(vars(value).values()), found, seen)


def measure(
    priors: Priors, level: str, samplers: Sequence[str], positions: int, rounds: int
) -> Iterator[VolumeRow]:
    """The naive sampler of one level, and others."""
    drawn: dict[str, list[DrawnSlice]] = {}
    rows = []
    for sampler in samplers:

        def run(sampler: str = sampler) -> None:
            drawn[sampler] = priors.drawn(level, sampler)

        row = VolumeRow(sampler, min(timed(run) for _ in range(rounds)))
        passes = sum(one.passes for one in drawn[sampler])
        rows.append(replace(row, passes=passes, kept=kept(priors, level, sampler)))
    yield VolumeRow("naive, extrapolated", naive_seconds(priors, level, positions))
    yield from rows
    slices = zip(*drawn.values(), strict=True)
    same = all(torch.equal(one.tokens, other.tokens) for one, *others in slices for other in others)
    print("the tokens are the same" if same else "THE TOKENS DIFFER (a tie in single precision)")
