"""ST-PixelCNN: the prior over the codewords of a hierarchical residual quantiser.

One network per layer, causal in raster order inside a frame and over all earlier frames. Layer i is
also given the sum of the codewords of the layers before it, of frames up to and including its own,
because a local index means nothing without its parent.

Reference:
    Adiban et al., S-HR-VQVAE: Sequential Hierarchical Residual Learning Vector Quantized
    Variational Autoencoder for Video Prediction, section 4.2.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.attention import CausalAttention
from framecast.layers.typed import Layers


@dataclass(frozen=True)
class PriorConfig(Config):
    """Sizes of an ST-PixelCNN."""

    hidden: int = 40
    """Channels inside each layer's network."""
    convolutions: int = 5
    """Masked 3×3×3 convolutions of each network; the first does not see its own position."""
    heads: int = 4
    """Heads of the attention over all earlier positions."""
    cross_layer: bool = True
    """Whether a layer is given the codewords of the layers before it; the paper's Eq 6 is not."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.hidden, self.convolutions, self.heads) < 1:
            raise ConfigError("hidden, convolutions and heads are at least 1")
        if self.hidden % self.heads:
            raise ConfigError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")


class CausalConv3d(nn.Conv3d):
    """A 3×3×3 convolution over frames t−2, t−1 and t, and all of their places."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make weight and bias."""
        super().__init__(inputs, outputs, 3, padding=(0, 1, 1))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Maps `b c t h w` to as many frames; what is before the first one is zero."""
        return functional.conv3d(
            functional.pad(input, (0, 0, 0, 0, 2, 0)), self.taps(), self.bias, padding=(0, 1, 1)
        )

    def taps(self) -> Tensor:
        """The weight that acts, `outputs inputs 3 3 3`."""
        return self.weight


class MaskedConv3d(CausalConv3d):
    """A causal convolution whose frame t is causal in raster order too.

    What the mask hides never acts, gets no gradient, and starts as zero.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, *, own: bool) -> None:
        """Make the mask; `own` tells whether a position sees itself."""
        super().__init__(inputs, outputs)
        mask = torch.ones(3, 3, 3)
        mask[2].view(-1)[5 if own else 4 :] = 0
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():
            self.weight.mul_(mask)

    def taps(self) -> Tensor:
        """The weight without what the mask hides."""
        return self.weight * self.mask


class LayerNet(nn.Module):
    """The network of one layer."""

    def __init__(self, config: PriorConfig, codewords: int, width: int, *, given: bool) -> None:
        """Make the layers; `given` tells whether there are layers to be conditioned on."""
        super().__init__()
        hidden = config.hidden
        self.conditioning = CausalConv3d(width, hidden) if given else None
        self.convolutions = Layers[MaskedConv3d](
            MaskedConv3d(hidden if i else width, hidden, own=i > 0)
            for i in range(config.convolutions)
        )
        self.attention = CausalAttention(hidden, config.heads)
        self.output = nn.Linear(hidden, codewords)

    def forward(self, own: Tensor, given: Tensor, first: int) -> Tensor:
        """Logits `b u m h w` of frames from `first` on.

        Args:
            own: The layer's codewords, `b d t h w`.
            given: The sum of the codewords of the layers before it, of the same shape.
            first: The first frame that is asked for.
        """
        head, *tail = self.convolutions
        x = head(own)
        if self.conditioning is not None:
            x = x + self.conditioning(given)
        for convolution in tail:
            x = x + convolution(functional.relu(x))
        height, width = x.shape[-2:]
        places = x.permute(0, 2, 3, 4, 1).flatten(1, 3)
        skipped = first * height * width
        found = self.attention(normalised(places), skipped)
        logits = self.logits(places[:, skipped:] + found)
        return logits.unflatten(1, (-1, height, width)).permute(0, 1, 4, 2, 3)

    def logits(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n m"]:
        """The 1×1 output, never in half precision."""
        with torch.autocast(x.device.type, enabled=False):
            return self.output(functional.relu(x).to(self.output.weight.dtype))


def normalised(x: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
    """Each position to mean 0 and variance 1 over its channels."""
    return functional.layer_norm(x, x.shape[-1:])


class STPixelCNN(nn.Module):
    """Autoregressive prior over the codewords of all layers."""

    def __init__(self, config: PriorConfig, layers: int, codewords: int, width: int) -> None:
        """Make one network per layer.

        Args:
            config: Sizes of each network.
            layers: Layers of the quantiser.
            codewords: Codewords in one codebook, M.
            width: Channels of a codeword, D.
        """
        super().__init__()
        self.nets = Layers[LayerNet](
            LayerNet(config, codewords, width, given=config.cross_layer and i > 0)
            for i in range(layers)
        )

    def forward(
        self, codewords: Float[Tensor, "b t n d h w"], first: int = 0
    ) -> Float[Tensor, "b u n m h w"]:
        """Logits of every position's index, teacher-forced.

        A logit of layer i at a position depends on codewords of layer i strictly before it in
        raster-time order, and on those of layers < i in frames up to and including its own.

        Args:
            codewords: The codewords e^i of every layer.
            first: The first frame whose logits are asked for; `u = t - first` are given.
        """
        volume = codewords.permute(0, 2, 3, 1, 4, 5)
        given = torch.zeros_like(volume[:, 0])
        logits = []
        for net, own in zip(self.nets, volume.unbind(1), strict=True):
            flat = (part.contiguous(memory_format=torch.channels_last_3d) for part in (own, given))
            logits.append(net(*flat, first))
            given = given + own
        return torch.stack(logits, 2)
