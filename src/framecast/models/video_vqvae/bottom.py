"""The bottom prior: one bottom slice at a time, given top slices and past bottom slices.

Reference:
    Walker, Razavi, van den Oord, Predicting Video with VQVAE, section 3.2 and Tables 4, 7 and 8.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.recompute import recompute
from framecast.layers.residual import ResidualBlock
from framecast.layers.typed import Layers
from framecast.models.video_vqvae.cache import Drawing, DrawnSlice, exactly
from framecast.models.video_vqvae.gated import GatedPixelCNN, PriorConfig

HALVINGS = 4
"""Convolutions that each halve the window of past slices."""
TIME_TAPS = 4
"""Slices that each of them sees."""


@dataclass(frozen=True)
class BottomConditioningConfig(Config):
    """Sizes of what the bottom prior is conditioned by; the defaults are the paper's (Table 7).

    The paper does not give the residual blocks' inner channels: they are those of the top prior's.
    """

    embedding: int = 128
    """Numbers that a token enters as."""
    hidden: int = 1024
    """Channels of the maps."""
    blocks: int = 20
    """Residual blocks."""
    residual: int = 128
    """Channels inside a residual block."""
    window: int = 4
    """Past bottom slices that are seen, at most 16."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.embedding, self.hidden, self.residual) < 1 or self.blocks < 0:
            raise ConfigError("embedding, hidden and residual are at least 1, blocks at least 0")
        if not 1 <= self.window <= 2**HALVINGS:
            raise ConfigError(f"window is from 1 to {2**HALVINGS} slices, got {self.window}")


@dataclass(frozen=True)
class BottomConfig(PriorConfig):
    """Sizes of the bottom prior; the defaults are the paper's (Table 4)."""

    layers: int = 20
    kernel: int = 5
    dropout: float = 0.0
    conditioning: BottomConditioningConfig = field(default_factory=BottomConditioningConfig)
    """Sizes of its conditioning stack."""


class BottomConditioning(nn.Module):
    """Maps of one bottom slice, from top slices around its time and bottom slices before it."""

    def __init__(self, config: BottomConditioningConfig, codewords: tuple[int, int]) -> None:
        """Make the layers, for tokens of these values, top and bottom (Table 8)."""
        super().__init__()
        width, hidden = config.embedding, config.hidden
        self.window = config.window
        self.top = nn.Embedding(codewords[0], width)
        self.bottom = nn.Embedding(codewords[1], width)
        self.later = nn.ConvTranspose3d(width, hidden, (4, 3, 3), stride=(2, 1, 1), padding=1)
        # no padding in time: the slices that are needed are cut out before
        self.larger = nn.ConvTranspose3d(
            hidden, hidden, (3, 4, 4), stride=(1, 2, 2), padding=(2, 1, 1)
        )
        self.smooth = nn.Conv3d(hidden, hidden, 3, padding=(0, 1, 1))
        self.past = Layers[nn.Conv3d](
            nn.Conv3d(
                hidden if i else width,
                hidden,
                (TIME_TAPS, 3, 3),
                stride=(2, 1, 1),
                padding=(0, 1, 1),
            )
            for i in range(HALVINGS)
        )
        self.join = nn.Conv2d(2 * hidden, hidden, 3, padding=1)
        self.blocks = nn.Sequential(
            *(ResidualBlock(hidden, config.residual) for _ in range(config.blocks))
        )

    def forward(
        self,
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b u h2 w2"],
        number: int,
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b c h2 w2"]:
        """The maps of bottom slice `number`, counted from 0; t top slices are 2t bottom slices."""
        parts = [self._from_top(top, number), self._from_past(bottom, number)]
        x = self.join(functional.relu(torch.cat(parts, 1)))
        for block in self.blocks:
            x = recompute(block, x, when=recomputed)
        return x

    def _from_top(self, top: Int64[Tensor, "b t h w"], number: int) -> Tensor:
        """Slice `number` of the top slices, upsampled; others only as far as it sees them."""
        slices = 2 * top.shape[1]
        later = functional.relu(self.later(self.top(top).movedim(-1, 1)))
        larger = functional.relu(self.larger(cut(later, number - 2, 5)))
        # beyond both ends there are zeros, not what the bias makes of them
        start, stop = max(0, 1 - number), min(3, slices + 1 - number)
        return self.smooth(cut(larger[:, :, start:stop], -start, 3)).squeeze(2)

    def _from_past(self, bottom: Int64[Tensor, "b u h2 w2"], number: int) -> Tensor:
        """The window of past slices as one; zeros before the first one."""
        known = bottom[:, max(0, number - self.window) : number]
        x = self.bottom(known).movedim(-1, 1)
        x = cut(x, known.shape[1] - self.window, self.window)
        first, *others = self.past
        x = first(halving(x))
        for convolution in others:
            x = convolution(halving(functional.relu(x)))
        return x.squeeze(2)


class BottomPrior(nn.Module):
    """Gated PixelCNN over one bottom slice."""

    def __init__(self, config: BottomConfig, codewords: tuple[int, int]) -> None:
        """Make conditioning stack and network, for tokens of these values, top and bottom."""
        super().__init__()
        self.conditioning = BottomConditioning(config.conditioning, codewords)
        self.net = GatedPixelCNN(config, codewords[1], config.conditioning.hidden, 1)

    def forward(
        self,
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b u h2 w2"],
        number: int,
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b h2 w2 m"]:
        """Logits of every token of one bottom slice, teacher-forced.

        Args:
            top: All top slices: the context's, encoded alone, and the future's.
            bottom: Bottom slices in the same way, up to `number` at least; the logits depend on the
                tokens of slice `number` that come before, in raster order, and on the slices before
                it in the window.
            number: The slice, counted from the context's first one as 0.
            recomputed: Keep the inputs of layers and residual blocks alone for the backward pass,
                and compute the rest of them again.
        """
        given = self.conditioning(top, bottom, number, recomputed=recomputed)
        own = bottom[:, number : number + 1]
        return self.net(own, given.unsqueeze(1), recomputed=recomputed).squeeze(1)

    def generate(
        self,
        top: Int64[Tensor, "r t h w"],
        bottom: Int64[Tensor, "r u h2 w2"],
        drawing: Drawing,
    ) -> Iterator[DrawnSlice]:
        """Draw the future's bottom slices, in eval mode.

        Args:
            top: All top slices of every row, the context's and the future's.
            bottom: The context's bottom slices of every row; rows are (s b).
            drawing: How.
        """
        for number in range(bottom.shape[1], 2 * top.shape[1]):
            with exactly(top.device):
                given = self.conditioning(top, bottom, number).unsqueeze(1)
            for drawn in drawing.volume(self.net, given, bottom[:, -1]):
                bottom = torch.cat([bottom, drawn.tokens.unsqueeze(1)], 1)
                yield drawn


def cut(x: Float[Tensor, "b c t h w"], first: int, count: int) -> Float[Tensor, "b c n h w"]:
    """Slices `first`, … of maps, with zeros for those that do not exist."""
    start, stop = max(first, 0), min(first + count, x.shape[2])
    return functional.pad(x[:, :, start:stop], (0, 0, 0, 0, start - first, first + count - stop))


def halving(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c n h w"]:
    """With the zeros in time by which a convolution leaves half the slices, rounded up."""
    slices = x.shape[2]
    missing = 2 * ((slices + 1) // 2 - 1) + TIME_TAPS - slices
    return functional.pad(x, (0, 0, 0, 0, missing // 2, missing - missing // 2))
