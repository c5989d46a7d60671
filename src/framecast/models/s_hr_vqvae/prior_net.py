"""The network of one layer of an ST-PixelCNN, teacher-forced (S-HR-VQVAE, section 4.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers.attention import CausalAttention
from framecast.layers.norm import normalised
from framecast.layers.typed import Layers


class CausalConv3d(nn.Conv3d):
    """A 3×3×3 convolution over frames t−2, t−1 and t, and all of their places."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make weight and bias."""
        super().__init__(inputs, outputs, 3, padding=(0, 1, 1))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """Maps `b c t h w` to as many frames; what is before the first one is zero."""
        padded = functional.pad(input, (0, 0, 0, 0, 2, 0))
        if len(input) == 1:
            return self._frame_by_frame(padded[0].transpose(0, 1))
        return functional.conv3d(padded, self.taps(), self.bias, padding=(0, 1, 1))

    def _frame_by_frame(self, frames: Tensor) -> Tensor:
        """The same for one clip `t c h w`, with the time taps as channels.

        On a CPU, PyTorch runs a 3-D convolution of one small clip four times slower.
        """
        count = len(frames) - 2
        stacked = torch.cat([frames[tap : tap + count] for tap in range(3)], 1)
        stacked = stacked.contiguous(memory_format=torch.channels_last)
        weight = self.taps().transpose(1, 2).flatten(1, 2)
        return functional.conv2d(stacked, weight, self.bias, padding=1).transpose(0, 1).unsqueeze(0)

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

    def __init__(
        self, hidden: int, convolutions: int, heads: int, codewords: int, width: int, *, given: bool
    ) -> None:
        """Make the layers.

        Args:
            hidden: Channels inside.
            convolutions: Number of masked convolutions.
            heads: Heads of the attention.
            codewords: Values of a token, M.
            width: Channels of a codeword, D.
            given: Whether there are layers to be conditioned on.
        """
        super().__init__()
        self.conditioning = CausalConv3d(width, hidden) if given else None
        self.convolutions = Layers[MaskedConv3d](
            MaskedConv3d(hidden if i else width, hidden, own=i > 0) for i in range(convolutions)
        )
        self.attention = CausalAttention(hidden, heads)
        self.output = nn.Linear(hidden, codewords)

    def forward(self, own: Tensor, given: Tensor, first: int, attend: bool = True) -> Tensor:
        """Logits `b u m h w` of frames from `first` on.

        Args:
            own: The layer's codewords, `b d t h w`.
            given: The sum of the codewords of the layers before it, of the same shape.
            first: The first frame that is asked for.
            attend: False leaves the attention out.
        """
        height, width = own.shape[-2:]
        _, places = self.features(own, given)
        skipped = first * height * width
        seen = places[:, skipped:]
        if attend:
            seen = seen + self.attention(normalised(places), skipped)
        logits = self.logits(seen)
        return logits.unflatten(1, (-1, height, width)).permute(0, 1, 4, 2, 3)

    def features(
        self, own: Float[Tensor, "b d t h w"], given: Float[Tensor, "b d t h w"]
    ) -> tuple[list[Tensor], Float[Tensor, "b n c"]]:
        """What each convolution reads, and what the last one leaves at each position."""
        head, *tail = self.convolutions
        read = [own]
        x = head(own)
        if self.conditioning is not None:
            x = x + self.conditioning(given)
        for convolution in tail:
            read.append(functional.relu(x))
            x = x + convolution(read[-1])
        return read, x.permute(0, 2, 3, 4, 1).flatten(1, 3)

    def logits(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n m"]:
        """The 1×1 output, never in half precision."""
        with torch.autocast(x.device.type, enabled=False):
            return self.output(functional.relu(x).to(self.output.weight.dtype))
