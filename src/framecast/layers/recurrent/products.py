"""The products of one map with several gates."""

from torch import nn

from framecast.layers.norm import Norm, norm
from framecast.layers.winograd import Planes


def products(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    kind: Norm,
    size: tuple[int, int] | None,
    bias: bool,
) -> nn.Sequential:
    """A convolution that keeps the size, the products of several gates at once, normalised.

    Args:
        inputs: Channels of the map.
        outputs: Channels of all products together.
        kernel: Width of the convolution, odd.
        kind: Normalisation, of all products together.
        size: (h, w) of the maps, for `layer`.
        bias: Whether the convolution has a bias.
    """
    return nn.Sequential(Planes(inputs, outputs, kernel, bias=bias), norm(kind, outputs, size))
