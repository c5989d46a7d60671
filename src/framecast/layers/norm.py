"""Normalisation of feature maps."""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError

Norm = Literal["layer", "group", "none"]
"""`layer`: LayerNorm over channels, height and width, with a weight for each, so for one size only;
`group`: the same statistics with a weight per channel, for any size; `none`."""


def norm(kind: Norm, channels: int, size: tuple[int, ...] | None) -> nn.Module:
    """A normalisation of maps `b c h w` (or `b c d h w`) over all axes but the batch.

    Args:
        kind: Which.
        channels: c.
        size: (h, w), or (d, h, w), in cells, which `layer` needs.

    Raises:
        ConfigError: if `layer` has no size.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "group":
        return nn.GroupNorm(1, channels)
    if size is None:
        raise ConfigError("norm 'layer' needs a fixed size; use 'group' for frames of any size")
    return nn.LayerNorm([channels, *size])


def normalised(x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
    """Each position to mean 0 and variance 1 over its channels."""
    return functional.layer_norm(x, x.shape[-1:])
