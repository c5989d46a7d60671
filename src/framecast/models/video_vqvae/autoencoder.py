"""Clips as tokens of two grids, and back: the networks of §3.1 and Table 3.

Reference: Walker, Razavi, van den Oord, Predicting Video with VQVAE (2021).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from framecast.config import Config
from framecast.errors import ConfigError, FramecastError
from framecast.layers.quantise import Quantised, ResidualTree
from framecast.layers.residual import ResidualBlock

FRAMES = 4
"""Frames of a slice of the top grid; a slice of the bottom grid is half as many."""


@dataclass(frozen=True)
class AutoencoderConfig(Config):
    """Sizes of encoders and decoder; the defaults are the paper's (Table 3)."""

    hidden: int = 128
    """Channels between the convolutions."""
    residual: int = 32
    """Channels inside a residual block."""
    blocks: int = 2
    """Residual blocks of each of the three stacks."""
    stride: int = 4
    """Pixels of a frame per position of the bottom grid, in each direction; half as many as the
    first filter is high. The top grid has a position for each 2×2 of them."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.hidden, self.residual) < 1 or self.blocks < 0:
            raise ConfigError("hidden and residual are at least 1, blocks 0 or more")
        if self.stride < 2 or self.stride % 2:
            raise ConfigError(f"stride is an even number of pixels, got {self.stride}")

    @property
    def pixels(self) -> int:
        """Pixels of a frame per position of the top grid, in each direction."""
        return 2 * self.stride


@dataclass(frozen=True)
class Volume:
    """Latent vectors of clips and the codewords nearest to them, on a grid."""

    quantised: Quantised  # rows in the order of `b t h w`
    shape: tuple[int, int, int, int]  # b t h w

    @property
    def tokens(self) -> Int64[Tensor, "b t h w"]:
        """Number of each codeword."""
        return self.quantised.indices.view(self.shape)

    @property
    def straight_through(self) -> Float[Tensor, "b d t h w"]:
        """The codewords; gradients go to the latent vectors unchanged, to no codeword."""
        return self.quantised.straight_through.view(*self.shape, -1).movedim(-1, 1)


class Level(nn.Module):
    """Features to latent vectors, and their codebook."""

    def __init__(self, hidden: int, codewords: int, width: int) -> None:
        """Make a 1×1×1 convolution from `hidden` channels to `width` numbers, and codewords."""
        super().__init__()
        self.project = nn.Conv3d(hidden, width, 1)
        self.codebook = ResidualTree(1, codewords, width)

    def forward(self, features: Float[Tensor, "b c t h w"]) -> Volume:
        """The nearest codewords (Eq 1); the codebook stays as it is."""
        latent = self.project(features)
        quantised = self.codebook(rearrange(latent, "b d t h w -> (b t h w) d"))
        batch, _, length, height, width = latent.shape
        return Volume(quantised, (batch, length, height, width))

    def lookup(self, tokens: Int64[Tensor, "b t h w"]) -> Float[Tensor, "b d t h w"]:
        """The codewords of tokens."""
        return self.codebook.lookup(tokens.unsqueeze(-1)).squeeze(-2).movedim(-1, 1)


class Autoencoder(nn.Module):
    """A 3-D VQ-VAE of two levels; the bottom one is quantised without the top one.

    Frames and networks run from `b t c h w` over volumes `b c t h w`. With the paper's stride, 16
    frames of 256×256 have a bottom grid of 8×64×64 and a top grid of 4×32×32.
    """

    def __init__(
        self, config: AutoencoderConfig, channels: int, codewords: int, width: int
    ) -> None:
        """Make the networks.

        Args:
            config: Their sizes.
            channels: Of a frame.
            codewords: Of each level's codebook.
            width: Numbers in a codeword.
        """
        super().__init__()
        hidden, stride = config.hidden, config.stride
        pixels = (4, 2 * stride, 2 * stride), (2, stride, stride), (1, stride // 2, stride // 2)
        halves = 4, 2, 1
        self.first = nn.Sequential(nn.Conv3d(channels, hidden, *pixels), *_stack(config))
        self.second = nn.Sequential(nn.Conv3d(hidden, hidden, *halves), *_stack(config))
        self.top = Level(hidden, codewords, width)
        self.bottom = Level(hidden, codewords, width)
        self.upsample = nn.ConvTranspose3d(width, width, *halves)
        self.decoder = nn.Sequential(
            nn.Conv3d(2 * width, hidden, 3, padding=1),
            *_stack(config),
            nn.ConvTranspose3d(hidden, channels, *pixels),
        )

    def forward(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Volume, Volume]:
        """The top and the bottom level of clips.

        Raises:
            FramecastError: if there are not a multiple of `FRAMES` frames.
        """
        length = frames.shape[1]
        if length % FRAMES:
            raise FramecastError(
                f"clips of {length} frames cannot be coded; give a multiple of {FRAMES}"
            )
        features = self.first(frames.transpose(1, 2))
        return self.top(self.second(features)), self.bottom(features)

    def decode(
        self, top: Float[Tensor, "b d t h w"], bottom: Float[Tensor, "b d t2 h2 w2"] | None
    ) -> Float[Tensor, "b t4 c h4 w4"]:
        """Clips from the codewords of both levels, unclipped.

        Args:
            top: Of the top level.
            bottom: Of the bottom level; None for zeros, which is what it is where it is masked.
        """
        upsampled = self.upsample(top)
        details = torch.zeros_like(upsampled) if bottom is None else bottom.to(upsampled)
        joined = torch.cat([upsampled, details], 1)
        return self.decoder(joined).transpose(1, 2)


def _stack(config: AutoencoderConfig) -> list[nn.Module]:
    """Residual blocks and a last ReLU."""
    blocks = [ResidualBlock(config.hidden, config.residual, 3) for _ in range(config.blocks)]
    return [*blocks, nn.ReLU()]
