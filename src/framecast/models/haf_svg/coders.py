"""From frames to features and back: the DCGAN and the VGG coders of SVG.

Reference:
    Denton, Fergus, Stochastic Video Generation with a Learned Prior (ICML 2018); with aligners, Lin
    et al., HAF-SVG (IJCAI 2020), Section 4.3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.batch_norm import BatchNorm
from framecast.layers.typed import Layers
from framecast.models.haf_svg.aligner import Aligner, Recalled, Skip, ValueFrom

SLOPE = 0.2
"""Of all LeakyReLUs."""
SMALLEST = 4
"""Height and width of the last map, which one convolution turns into a vector."""
SIZES = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class CoderConfig(Config):
    """Sizes of the encoder and of the decoder, which mirrors it."""

    kind: Literal["dcgan", "vgg"] = "dcgan"
    """Strided convolutions, one per level, or blocks of two or three between poolings."""
    channels: int = 1
    """Channels of a frame."""
    size: int = 64
    """Height and width of a frame in pixels; published: 64, and 128 with one more level."""
    width: int = 64
    """Channels of the first level; they double from level to level, up to eight times as many."""
    features: int = 128
    """Length of the vector h."""
    aligned: tuple[int, ...] = ()
    """Heights, in cells, of the maps whose features are aligned; the others are plain skips, and
    all of them are in SVG. Maps of `dcgan` have heights of size/2, …, 4, those of `vgg` of size, …,
    8."""
    value_from: ValueFrom = "encoder"
    """Features that the aligners' value is made of: `encoder`, as the text says, or `decoder`, as
    the formula is printed."""
    scaled: bool = False
    """Whether the aligners divide scores by √C; the paper does not."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.size not in SIZES:
            raise ConfigError(f"size is one of {', '.join(map(str, SIZES))}; got {self.size}")
        for name in ("channels", "width", "features"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1")
        wrong = sorted(set(self.aligned) - set(self.heights))
        if wrong or len(set(self.aligned)) < len(self.aligned):
            known = ", ".join(map(str, self.heights))
            raise ConfigError(
                f"aligned names maps by their heights, once each: {known} for {self.kind} at "
                f"{self.size}; got {self.aligned}"
            )

    @property
    def levels(self) -> int:
        """Number of maps."""
        return (self.size // SMALLEST).bit_length() - 1

    @property
    def heights(self) -> tuple[int, ...]:
        """Height of each map, the finest first."""
        first = self.size // 2 if self.kind == "dcgan" else self.size
        return tuple(first >> level for level in range(self.levels))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each map, the finest first."""
        return tuple(self.width * min(2**level, 8) for level in range(self.levels))


@dataclass(frozen=True)
class Encoded:
    """What the encoder makes of frames."""

    features: Float[Tensor, "b d"]  # h
    maps: tuple[Float[Tensor, "b _c _h _w"], ...]  # the finest first


def pick(recalled: Iterable[Recalled], rows: Int[Tensor, " n"]) -> tuple[Recalled, ...]:
    """Rows of the recalled features, at every level."""
    return tuple(level.pick(rows) for level in recalled)


class Encoder(nn.Module):
    """E: a frame as a vector between −1 and 1, and the maps on the way."""

    def __init__(self, config: CoderConfig) -> None:
        """Make the levels."""
        super().__init__()
        self.config = config
        inputs = (config.channels, *config.widths)
        self.levels = Layers[nn.Module](
            self._level(level, inputs[level], config.widths[level])
            for level in range(config.levels)
        )
        self.last = nn.Sequential(
            nn.Conv2d(config.widths[-1], config.features, SMALLEST),
            BatchNorm(config.features),
            nn.Tanh(),
        )

    def forward(self, frames: Float[Tensor, "b c h w"]) -> Encoded:
        """Encode frames, each for itself."""
        x, maps = frames, []
        for level in self.levels:
            x = level(x)
            maps.append(x)
            if self.config.kind == "vgg":
                x = functional.max_pool2d(x, 2)
        return Encoded(self.last(x).flatten(1), tuple(maps))

    def _level(self, level: int, inputs: int, outputs: int) -> nn.Module:
        if self.config.kind == "dcgan":
            return _activated(nn.Conv2d(inputs, outputs, 4, 2, 1), outputs)
        return _block((inputs, *[outputs] * _convolutions(level)))


class Decoder(nn.Module):
    """D: a frame between 0 and 1 from a vector and the recalled maps of an observed frame."""

    def __init__(self, config: CoderConfig) -> None:
        """Make the levels, the coarsest first."""
        super().__init__()
        self.config = config
        order = range(config.levels)[::-1]
        widths = config.widths
        self.first = _activated(
            nn.ConvTranspose2d(config.features, widths[-1], SMALLEST), widths[-1]
        )
        self.joins = Layers[Skip | Aligner](self._join(level) for level in order)
        self.levels = Layers[nn.Module](
            self._level(level, widths[level] * join.widths)
            for level, join in zip(order, self.joins, strict=True)
        )

    def recall(self, maps: Sequence[Tensor]) -> tuple[Recalled, ...]:
        """What is computed once for an observed frame, the coarsest level first."""
        pairs = zip(self.joins, reversed(maps), strict=True)
        return tuple(join.recall(features) for join, features in pairs)

    def forward(
        self, vector: Float[Tensor, "n d"], recalled: Sequence[Recalled]
    ) -> Float[Tensor, "n c h w"]:
        """Decode; with s samples of b observed frames, n = s·b, samples first."""
        x = self.first(vector[:, :, None, None])
        for join, level, features in zip(self.joins, self.levels, recalled, strict=True):
            x = level(join(self.grown(x), features))
        return torch.sigmoid(x)

    def look(
        self,
        vector: Float[Tensor, "b d"],
        recalled: Sequence[Recalled],
        height: int,
        positions: Int[Tensor, "p 2"],
    ) -> Float[Tensor, "b p h w"]:
        """Where positions (row, column) of the aligned map of a height look, as pictures.

        Raises:
            ConfigError: if no map of that height is aligned.
        """
        x = self.first(vector[:, :, None, None])
        for join, level, features in zip(self.joins, self.levels, recalled, strict=True):
            x = self.grown(x)
            if isinstance(join, Aligner) and x.shape[-1] == height:
                return join.attention(x, features, positions)
            x = level(join(x, features))
        raise ConfigError(f"no map of height {height} is aligned; those are {self.config.aligned}")

    def grown(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Twice as high and wide where convolutions do not make it so."""
        return functional.interpolate(x, scale_factor=2) if self.config.kind == "vgg" else x

    def _join(self, level: int) -> Skip | Aligner:
        config = self.config
        if config.heights[level] not in config.aligned:
            return Skip()
        return Aligner(config.widths[level], config.value_from, scaled=config.scaled)

    def _level(self, level: int, inputs: int) -> nn.Module:
        config, width = self.config, self.config.widths[level]
        finer = config.widths[level - 1] if level else config.channels
        if config.kind == "dcgan":
            layer = nn.ConvTranspose2d(inputs, finer, 4, 2, 1)
            return _activated(layer, finer) if level else layer
        inner = (inputs, *[width] * (_convolutions(level) - 1))
        if level:
            return _block((*inner, finer))
        return nn.Sequential(_block(inner), nn.ConvTranspose2d(width, finer, 3, 1, 1))


def _convolutions(level: int) -> int:
    """How many a block of VGG16 has."""
    return 2 if level < 2 else 3


def _block(widths: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        *(
            _activated(nn.Conv2d(inputs, outputs, 3, 1, 1), outputs)
            for inputs, outputs in pairwise(widths)
        )
    )


def _activated(layer: nn.Module, channels: int) -> nn.Sequential:
    return nn.Sequential(layer, BatchNorm(channels), nn.LeakyReLU(SLOPE, inplace=True))
