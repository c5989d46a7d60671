"""The top prior: the future's top slices, given the codes of the context frames alone.

Reference:
    Walker, Razavi, van den Oord, Predicting Video with VQVAE, section 3.2 and Tables 4 to 6.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.residual import ResidualBlock
from framecast.models.video_vqvae.cache import Drawing, DrawnSlice, exactly
from framecast.models.video_vqvae.gated import GatedPixelCNN, PriorConfig


@dataclass(frozen=True)
class TopConditioningConfig(Config):
    """Sizes of what the top prior is conditioned by; the defaults are the paper's (Table 5)."""

    embedding: int = 128
    """Numbers that a context token enters as."""
    squeezed: int = 256
    """Channels between the context's grid and the prior's."""
    blocks: int = 4
    """Residual blocks."""
    residual: int = 128
    """Channels inside a residual block."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.embedding, self.squeezed, self.residual) < 1 or self.blocks < 0:
            raise ConfigError(
                "embedding, squeezed and residual are at least 1 and blocks at least 0"
            )


@dataclass(frozen=True)
class TopConfig(PriorConfig):
    """Sizes of the top prior."""

    conditioning: TopConditioningConfig = field(default_factory=TopConditioningConfig)
    """Sizes of its conditioning stack."""


class TopConditioning(nn.Module):
    """Maps of every future top slice, from the codes of the context frames encoded alone."""

    def __init__(
        self,
        config: TopConditioningConfig,
        codewords: tuple[int, int],
        hidden: int,
        context: int,
        future: int,
    ) -> None:
        """Make the layers.

        Args:
            config: Sizes.
            codewords: Values of a top token and of a bottom token.
            hidden: Channels of the maps.
            context: Top slices of the context; of bottom slices there are twice as many.
            future: Top slices of the future.
        """
        super().__init__()
        width, squeezed = config.embedding, config.squeezed
        self.future = future
        self.top = nn.Embedding(codewords[0], width)
        self.bottom = nn.Embedding(codewords[1], width)
        self.up = nn.ConvTranspose3d(width, width, 4, stride=2, padding=1)
        # one slice of all bottom slices
        size = (2 * context, 4, 4)
        self.down = nn.Conv3d(2 * width, squeezed, size, stride=(1, 2, 2), padding=(0, 1, 1))
        # the tiled slices differ by what they are next to
        self.enter = nn.Conv3d(squeezed, hidden, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(hidden, config.residual, dimensions=3) for _ in range(config.blocks))
        )

    def forward(
        self, top: Int64[Tensor, "b t h w"], bottom: Int64[Tensor, "b t2 h2 w2"]
    ) -> Float[Tensor, "b f c h w"]:
        """The maps, slice by slice."""
        raised = functional.relu(self.up(self.top(top).movedim(-1, 1)))
        both = torch.cat([raised, self.bottom(bottom).movedim(-1, 1)], 1)
        squeezed = functional.relu(self.down(both)).expand(-1, -1, self.future, -1, -1)
        return self.blocks(self.enter(squeezed)).transpose(1, 2)


class TopPrior(nn.Module):
    """Gated PixelCNN over the future's top slices."""

    def __init__(
        self, config: TopConfig, codewords: tuple[int, int], context: int, future: int
    ) -> None:
        """Make conditioning stack and network; the arguments are those of `TopConditioning`."""
        super().__init__()
        self.conditioning = TopConditioning(
            config.conditioning, codewords, config.hidden, context, future
        )
        self.net = GatedPixelCNN(config, codewords[0], config.hidden, future)

    def forward(
        self,
        tokens: Int64[Tensor, "b f h w"],
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b t2 h2 w2"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b f h w m"]:
        """Logits of every future token, teacher-forced.

        Args:
            tokens: The future's top tokens; logits depend on those before, slice after slice and in
                raster order, alone.
            top: Top tokens of the context frames, encoded alone.
            bottom: Their bottom tokens.
            recomputed: Keep the layers' inputs alone for the backward pass, and compute the rest
                of them again.
        """
        return self.net(tokens, self.conditioning(top, bottom), recomputed=recomputed)

    def generate(
        self,
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b t2 h2 w2"],
        samples: int,
        drawing: Drawing,
    ) -> Iterator[DrawnSlice]:
        """Draw the future's top slices, in eval mode.

        Args:
            top: Top tokens of the context frames, encoded alone.
            bottom: Their bottom tokens.
            samples: Futures per sequence; rows are (s b).
            drawing: How.
        """
        with exactly(top.device):
            given = self.conditioning(top, bottom).repeat(samples, 1, 1, 1, 1)
        yield from drawing.volume(self.net, given, top[:, -1].repeat(samples, 1, 1))
