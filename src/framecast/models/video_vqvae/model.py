"""Video VQ-VAE: clips as tokens of two grids in space and time, top and bottom.

Reference: Walker, Razavi, van den Oord, Predicting Video with VQVAE (2021).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from framecast.clip import Clip
from framecast.codec import Codec
from framecast.errors import ConfigError, FramecastError
from framecast.model import FrameSpec, ModelConfig, Options, Step
from framecast.models.video_vqvae.autoencoder import FRAMES, Autoencoder, AutoencoderConfig
from framecast.noise import Noise
from framecast.tokens import Grid


@dataclass(frozen=True)
class VideoVQVAEConfig(ModelConfig):
    """Sizes of a Video VQ-VAE; the defaults are the paper's (Table 3)."""

    type: ClassVar[str] = "video-vqvae"
    channels: int = 3
    """Channels of a frame."""
    codewords: int = 512
    """Codewords of each level's codebook."""
    width: int = 64
    """Numbers in a codeword."""
    context: int = 4
    """Frames that a prediction is made from; a multiple of 4. They are coded alone."""
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """Sizes of encoders and decoder."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.channels, self.width) < 1 or self.codewords < 2:
            raise ConfigError("channels and width are at least 1, codewords at least 2")
        if self.context < FRAMES or self.context % FRAMES:
            raise ConfigError(f"context is a multiple of {FRAMES} frames, got {self.context}")


class VideoVQVAE(Codec):
    """Clips as tokens of two levels: a top grid of what is coarse, a bottom grid of details."""

    config_type = VideoVQVAEConfig
    block = FRAMES

    def __init__(self, config: VideoVQVAEConfig) -> None:
        """Make the autoencoder."""
        super().__init__(config)
        self.autoencoder = Autoencoder(
            config.autoencoder, config.channels, config.codewords, config.width
        )

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to whole positions of the top grid,
        and the last frames of a context are kept."""
        return FrameSpec(
            channels=self.config.channels,
            multiple_of=self.config.autoencoder.pixels,
            context_min=self.config.context,
            context_max=self.config.context,
        )

    # compressing video (§3.1)

    @property
    def values(self) -> tuple[int, ...]:
        """The codewords of top and bottom."""
        return (self.config.codewords,) * 2

    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        """Top and bottom, the top one half as large in space and time."""
        stride, pixels = self.config.autoencoder.stride, self.config.autoencoder.pixels
        top = (length // FRAMES, height // pixels, width // pixels)
        return top, (2 * length // FRAMES, height // stride, width // stride)

    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The tokens of top and bottom; all frames are coded together.

        Raises:
            FramecastError: if there are not a multiple of 4 frames.
        """
        top, bottom = self.autoencoder(frames)
        return top.tokens, bottom.tokens

    def tokenize_context(
        self, frames: Float[Tensor, "b t c h w"]
    ) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The tokens of the first `context` frames, coded alone: no later frame plays a part.

        In the tokens of longer clips it does, as encoders look ahead.
        """
        return self.tokenize(frames[:, : self.config.context])

    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        """Frames from the tokens of top and bottom, or of top alone: then the bottom is zeros."""
        top, *rest = levels
        bottom = self.autoencoder.bottom.lookup(rest[0]) if rest else None
        return self.autoencoder.decode(self.autoencoder.top.lookup(top), bottom)

    # predicting video (§3.2)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Nothing: there are no priors.

        Raises:
            FramecastError: always.
        """
        del context, horizon, samples, noise, options
        raise FramecastError("video-vqvae has no priors: it codes clips and predicts none")

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """Nothing, as `rollout`.

        Raises:
            FramecastError: always.
        """
        del clip
        raise FramecastError("video-vqvae has no priors: it codes clips and predicts none")
