"""Residual blocks of autoencoders and of what conditions a prior."""

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock(nn.Sequential):
    """ReLU, 3×3 or 3×3×3, ReLU, 1×1, added to the input."""

    def __init__(self, hidden: int, bottleneck: int, dimensions: int = 2) -> None:
        """Make the two convolutions.

        Args:
            hidden: Channels in and out.
            bottleneck: Channels between the convolutions.
            dimensions: 2 for maps `n c h w`, 3 for volumes `n c t h w`.
        """
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        super().__init__(
            nn.ReLU(),
            convolution(hidden, bottleneck, 3, padding=1),
            nn.ReLU(),
            convolution(bottleneck, hidden, 1),
        )

    def forward(self, input: Float[Tensor, "n c *size"]) -> Float[Tensor, "n c *size"]:  # noqa: A002
        """The input and what the block adds to it."""
        return input + super().forward(input)
