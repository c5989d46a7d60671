"""The products of one map with several gates."""

from torch import nn

from framecast.layers.norm import Norm, norm


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
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    return nn.Sequential(convolution, norm(kind, outputs, size))
