"""From two frames in a row to the next one: the multi-grained autoencoder around the STGRUs.

Reference:
    Chang et al., STIP (2022), Section III-A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.recurrent.stgru import STGRUState, STGRUUnit
from framecast.layers.typed import Layers
from framecast.model import ModelConfig

SLOPE = 0.2
"""Of all LeakyReLUs (Table II)."""


@dataclass(frozen=True)
class STIPConfig(ModelConfig):
    """Sizes of a STIP, and the parts of it that can be left out (Tables I, II and VI)."""

    type: ClassVar[str] = "stip"
    channels: int = 3
    """Channels of a frame."""
    patch: int = 2
    """Frames are cut into patches of this size, whose pixels become channels (PixelUnshuffle)."""
    levels: int = 4
    """Layers of an encoder, and of a decoder; each halves, or doubles, height and width."""
    hidden: int = 64
    """Channels of all features and states."""
    units: int = 16
    """STGRUs in the stack."""
    kernel: int = 5
    """Width of the STGRUs' convolutions."""
    norm: Norm = "group"
    """Normalisation in the STGRUs: `group` for frames of any size, `layer` as published for one."""
    size: tuple[int, int] | None = None
    """(height, width) of the frames in pixels, which `layer` needs; None for any."""
    two_streams: bool = True
    """Spatiotemporal encoding and decoding (STED); without it one encoder gives both features, and
    one decoder reads the top's spatial state."""
    recall: float = 0.1
    """λ of Eq 3, the weight of the encoders' features in the decoders (MGIR); 0 for none."""
    bottleneck_skip: bool = False
    """Whether the last encoder features are recalled as well, as Eq 3 says; the authors' program
    begins with those one level finer."""
    update_bias: float = 1.0
    """Constant added to the update gates, which at first keep the state."""
    reference_routing: bool = False
    """Decode the temporal state beside spatial features and the other way round, as the authors'
    program does."""
    residual: bool = False
    """Beyond the paper: predict the change since the frame before; it then starts as copy-last."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("channels", "patch", "levels", "hidden", "units"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd, so that maps keep their size; got {self.kernel}")
        if self.recall < 0:
            raise ConfigError("recall is 0 or more")
        if self.bottleneck_skip and not self.recall:
            raise ConfigError("bottleneck_skip recalls features, so it needs a recall above 0")
        if self.reference_routing and not self.two_streams:
            raise ConfigError("reference_routing swaps two streams, so it needs two_streams")
        if (self.norm == "layer") != (self.size is not None):
            raise ConfigError("norm 'layer' needs the frames' size, and the others take none")

    @property
    def multiple_of(self) -> int:
        """What height and width are padded to a multiple of."""
        return self.patch * 2**self.levels

    @property
    def patch_channels(self) -> int:
        """Channels of a frame cut into patches."""
        return self.channels * self.patch**2

    @property
    def cells(self) -> tuple[int, int] | None:
        """(height, width) of the states; None for any."""
        if self.size is None:
            return None
        return -(-self.size[0] // self.multiple_of), -(-self.size[1] // self.multiple_of)


# ---- multi-grained spatiotemporal autoencoder, Section III-A1


def _halving(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def _activated(maps: Tensor) -> Tensor:
    """LeakyReLU in the maps' own memory, which at full resolution is most of all."""
    return functional.leaky_relu(maps, SLOPE, inplace=True)


class Encoder(nn.Module):
    """Eq 1: features of two frames in a row, at every level."""

    def __init__(self, config: STIPConfig) -> None:
        """Make the convolutions.

        The first is the published 3-D convolution with kernel (2, 1, 1), written as 1×1 over the
        channels of both frames.
        """
        super().__init__()
        self.join = nn.Conv2d(2 * config.patch_channels, config.hidden, 1)
        self.down = Layers[nn.Conv2d](
            _halving(config.hidden, config.hidden) for _ in range(config.levels)
        )

    def forward(self, pair: Float[Tensor, "b c h w"]) -> list[Tensor]:
        """Features `b k h w`, the coarsest last."""
        maps = _activated(self.join(pair))
        levels = []
        for layer in self.down:
            maps = _activated(layer(maps))
            levels.append(maps)
        return levels


class Decoder(nn.Module):
    """Eq 3: from a state to features of the size of patches, recalling the encoder's."""

    def __init__(self, config: STIPConfig) -> None:
        """Make the transposed convolutions."""
        super().__init__()
        self.recall, self.from_bottleneck = config.recall, config.bottleneck_skip
        self.up = Layers[nn.ConvTranspose2d](
            nn.ConvTranspose2d(
                config.hidden, config.hidden, 3, stride=2, padding=1, output_padding=1
            )
            for _ in range(config.levels)
        )

    def forward(
        self, state: Float[Tensor, "b k h w"], encoded: Sequence[Tensor]
    ) -> Float[Tensor, "b k h2 w2"]:
        """Decode.

        Args:
            state: Predicted features.
            encoded: The encoder's features at every level, the coarsest last.
        """
        maps = state
        if self.from_bottleneck:
            maps = torch.add(maps, encoded[-1], alpha=self.recall)
        finer = [*encoded[-2::-1], None]
        for layer, recalled in zip(self.up, finer, strict=True):
            maps = layer(maps)
            if recalled is not None:  # the last layer is linear and recalls nothing
                maps = _activated(maps)
                maps = torch.add(maps, recalled, alpha=self.recall) if self.recall else maps
        return maps


class Encoded(NamedTuple):
    """Both encoders' features at every level, the coarsest last."""

    temporal: list[Tensor]
    spatial: list[Tensor]


States = list[STGRUState]
"""The temporal state of each unit."""


class Network(nn.Module):
    """Patches of two frames in a row to those of the next one."""

    def __init__(self, config: STIPConfig) -> None:
        """Make encoders, units and decoders."""
        super().__init__()
        self.config = config
        streams = 2 if config.two_streams else 1
        self.encoders = Layers[Encoder](Encoder(config) for _ in range(streams))
        self.merge = nn.Conv2d(2 * config.hidden, config.hidden, 1)
        self.units = Layers[STGRUUnit](
            STGRUUnit(
                config.hidden,
                config.hidden,
                config.kernel,
                norm=config.norm,
                size=config.cells,
                bias=True,
                update_bias=config.update_bias,
            )
            for _ in range(config.units)
        )
        self.decoders = Layers[Decoder](Decoder(config) for _ in range(streams))
        self.output = nn.Conv2d(streams * config.hidden, config.patch_channels, 1)
        if config.residual:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)  # pyright: ignore[reportArgumentType]

    def encode(self, before: Float[Tensor, "b c h w"], last: Float[Tensor, "b c h w"]) -> Encoded:
        """Eq 1."""
        pair = torch.cat([before, last], 1)
        features = [encoder(pair) for encoder in self.encoders]
        return Encoded(features[0], features[-1])

    def initial(self, patches: Float[Tensor, "b *c h w"]) -> States:
        """The states before the first frame: zeros."""
        height, width = (length // 2**self.config.levels for length in patches.shape[-2:])
        cells = patches.new_zeros(len(patches), self.config.hidden, height, width)
        return [unit.initial(cells) for unit in self.units]

    def recur(self, encoded: Encoded, states: States) -> tuple[Tensor, States]:
        """Eq 2: the predicted spatial state, and the temporal states, the top one last."""
        spatial, new = encoded.spatial[-1], []
        for unit, state in zip(self.units, self.entered(encoded, states), strict=True):
            turn = unit(spatial, state)
            spatial = turn.output
            new.append(turn.state)
        return spatial, new

    def entered(self, encoded: Encoded, states: States) -> States:
        """The states with the temporal features in the first (Algorithm 1, line 7)."""
        first = torch.cat([encoded.temporal[-1], states[0].temporal], 1)
        return [STGRUState(self.merge(first)), *states[1:]]

    def decode(
        self,
        encoded: Encoded,
        spatial: Float[Tensor, "b k h w"],
        temporal: Float[Tensor, "b k h w"],
        last: Float[Tensor, "b c h2 w2"],
    ) -> Float[Tensor, "b c h2 w2"]:
        """Eqs 3 and 4: the next frame's patches."""
        states = [temporal, spatial] if self.config.two_streams else [spatial]
        if self.config.reference_routing:
            states.reverse()
        weights = self.output.weight.chunk(len(states), 1)
        streams = zip(self.decoders, states, encoded[-len(states) :], weights, strict=True)
        bias = cast(Tensor, self.output.bias).view(-1, 1, 1)
        patches = last + bias if self.config.residual else bias
        for decoder, state, features, weight in streams:
            # Eq 4 a stream at a time, so that the widest maps of one alone are in memory
            patches = patches + functional.conv2d(decoder(state, features), weight)
        return patches

    def advance(
        self, before: Tensor, last: Tensor, states: States
    ) -> tuple[Float[Tensor, "b c h w"], States]:
        """The patches of the frame after `last`, and the states."""
        encoded = self.encode(before, last)
        spatial, states = self.recur(encoded, states)
        return self.decode(encoded, spatial, states[-1].temporal, last), states
