"""The frame autoencoder around the quantiser: Step 1 and Step 3 of the paper.

The paper leaves its layers open; these are VQ-VAE-2's at a quarter of the resolution.
"""

from dataclasses import dataclass

from torch import nn

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.residual import ResidualBlock

STRIDE = 4
"""Pixels of a frame per position of the latent grid, in each direction."""


@dataclass(frozen=True)
class AutoencoderConfig(Config):
    """Sizes of the encoder and its mirrored decoder."""

    hidden: int = 128
    """Channels of the latent grid inside both; half as many at twice its resolution."""
    blocks: int = 2
    """Residual blocks of each."""
    bottleneck: int = 32
    """Channels inside a residual block."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.hidden < 2 or self.hidden % 2:
            raise ConfigError(f"hidden is an even number of channels, got {self.hidden}")
        if self.blocks < 0 or self.bottleneck < 1:
            raise ConfigError("blocks is at least 0 and bottleneck at least 1")


class Encoder(nn.Sequential):
    """E: frames `n c h w` to latent vectors `n d h/4 w/4`."""

    def __init__(self, config: AutoencoderConfig, channels: int, width: int) -> None:
        """Make the layers, for frames of `channels` and latent vectors of `width` numbers."""
        hidden = config.hidden
        super().__init__(
            nn.Conv2d(channels, hidden // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden // 2, hidden, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            *(ResidualBlock(hidden, config.bottleneck) for _ in range(config.blocks)),
            nn.ReLU(),
            nn.Conv2d(hidden, width, 1),
        )


class Decoder(nn.Sequential):
    """D: quantised vectors `n d h/4 w/4` to frames `n c h w`, unclipped."""

    def __init__(self, config: AutoencoderConfig, channels: int, width: int) -> None:
        """Make the layers, the encoder's in reverse."""
        hidden = config.hidden
        super().__init__(
            nn.Conv2d(width, hidden, 3, padding=1),
            *(ResidualBlock(hidden, config.bottleneck) for _ in range(config.blocks)),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden, hidden // 2, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden // 2, channels, 4, stride=2, padding=1),
        )
