"""The decoder of a rollout: what stays the same from frame to frame is computed before the first.

Every sample of every predicted frame recalls the same features, so what a convolution makes of them
is computed once, and norms are made part of the convolutions before them. The frames are those of
`Decoder` in evaluation mode but for rounding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers.batch_norm import BatchNorm
from framecast.models.haf_svg.aligner import Aligner, Recalled, Skip
from framecast.models.haf_svg.coders import SLOPE, Decoder


@dataclass(frozen=True)
class Convolution:
    """A convolution, the norm after it, and whether a LeakyReLU follows."""

    layer: nn.Conv2d | nn.ConvTranspose2d
    """For stride, padding and kind."""
    weight: Float[Tensor, "_i _o kh kw"]  # inputs second unless the layer is transposed
    offset: Float[Tensor, "b o h w"]
    """What is added: the bias, `1 o 1 1`, or what became of the recalled features of b frames."""
    activated: bool = False

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.ConvTranspose2d) -> "Convolution":
        """A layer as it is."""
        assert layer.bias is not None
        return cls(layer, layer.weight, layer.bias[:, None, None][None])

    def normalised(self, norm: BatchNorm) -> "Convolution":
        """With a norm in evaluation mode after it."""
        gain, offset = norm.affine()
        gain, offset = gain[:, None, None], offset[:, None, None]
        weight = self.weight * (gain if self._inputs == 0 else gain[..., None])
        return replace(self, weight=weight, offset=self.offset * gain + offset)

    def knowing(self, features: Float[Tensor, "b c h w"], parts: int) -> "Convolution":
        """For inputs without the second of some equal parts, which is always the same."""
        own, known, *others = self.weight.chunk(parts, self._inputs)
        offset = replace(self, weight=known).linear(features) + self.offset
        return replace(self, weight=torch.cat([own, *others], self._inputs), offset=offset)

    def linear(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """Neither offset nor activation."""
        layer, stride, padding = self.layer, self.layer.stride[0], int(self.layer.padding[0])
        x = x.contiguous(memory_format=torch.channels_last)
        if isinstance(layer, nn.Conv2d):
            return functional.conv2d(x, self.weight, None, stride, padding)
        if layer.out_channels > stride**2:
            return functional.conv_transpose2d(x, self.weight, None, stride, padding)
        # kernels of convolutions are slow where outputs are few: one product, summed where it meets
        kernel = layer.kernel_size[0]
        size = tuple((side - 1) * stride + kernel - 2 * padding for side in x.shape[2:])
        products = self.weight.flatten(1).T @ x.flatten(2)
        return functional.fold(products, size, kernel, 1, padding, stride)

    def __call__(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h2 w2"]:
        """All of it; with s samples of b observed frames, n = s·b, samples first."""
        y = self.linear(x)
        y.unflatten(0, (-1, len(self.offset))).add_(self.offset)
        return functional.leaky_relu_(y, SLOPE) if self.activated else y

    @property
    def _inputs(self) -> int:
        return 0 if isinstance(self.layer, nn.ConvTranspose2d) else 1


class FixedDecoder:
    """A decoder in evaluation mode and the features that it recalls, for many vectors."""

    def __init__(self, decoder: Decoder, recalled: Sequence[Recalled]) -> None:
        """Compute what depends on no vector."""
        (self.first,) = _convolutions(decoder.first)
        self.levels = [
            _level(join, _convolutions(level), features)
            for join, level, features in zip(decoder.joins, decoder.levels, recalled, strict=True)
        ]
        self.grown = decoder.grown

    def __call__(self, vector: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """Decode; with s samples of b observed frames, n = s·b, samples first."""
        x = self.first(vector[:, :, None, None])
        for level in self.levels:
            x = level(self.grown(x))
        return x.sigmoid_()


def _convolutions(level: nn.Module) -> list[Convolution]:
    """A level's convolutions in the order of their registration, which is that of their use."""
    found = list[Convolution]()
    for module in level.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            found.append(Convolution.of(module))
        elif isinstance(module, BatchNorm):
            found[-1] = found[-1].normalised(module)
        elif isinstance(module, nn.LeakyReLU):
            found[-1] = replace(found[-1], activated=True)
    return found


def _level(
    join: Skip | Aligner, convolutions: Sequence[Convolution], recalled: Recalled
) -> Callable[[Tensor], Tensor]:
    first, *rest = convolutions
    first = first.knowing(recalled.features, join.widths)

    def level(x: Tensor) -> Tensor:
        if isinstance(join, Aligner):
            x = torch.cat([x, join.aligned(x, recalled)], 1)
        x = first(x)
        for convolution in rest:
            x = convolution(x)
        return x

    return level
