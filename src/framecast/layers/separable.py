"""The two halves of a separable convolution, in shapes that CPUs are fast with.

Both keep the size, have a bias, and are fastest with channels last.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class Pointwise(nn.Conv2d):
    """A 1×1 convolution: mixes the channels of each place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """With PyTorch's weights."""
        super().__init__(inputs, outputs, 1)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b d h w"]:
        """Rows count as images: of few images, with one thread, torch does not take oneDNN's
        convolution but a path that can take twice as long."""
        places = x.movedim(1, -1)
        rows = places.flatten(0, 1).unsqueeze(1).movedim(-1, 1)
        found = functional.conv2d(rows, self.weight, self.bias).movedim(1, -1)
        return found.squeeze(1).unflatten(0, places.shape[:2]).movedim(-1, 1)


class Depthwise(nn.Conv2d):
    """A convolution of each channel by itself, whose places lie some cells apart."""

    def __init__(self, channels: int, kernel: int, apart: int = 1) -> None:
        """With PyTorch's weights.

        Args:
            channels: What comes in and goes out.
            kernel: Its width, odd.
            apart: Cells from one place to the next.
        """
        margin = apart * (kernel // 2)
        super().__init__(
            channels, channels, kernel, padding=margin, dilation=apart, groups=channels
        )

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        """Cells that lie so far apart are made neighbours, in maps of their own, as oneDNN has no
        fast way for places that lie apart."""
        apart = self.dilation[0]
        if apart == 1:
            return super().forward(x)
        count, _, height, width = x.shape
        places = functional.pad(x.movedim(1, -1), (0, 0, 0, -width % apart, 0, -height % apart))
        sets = places.unflatten(2, (-1, apart)).unflatten(1, (-1, apart)).permute(0, 2, 4, 1, 3, 5)
        maps = sets.flatten(0, 2).movedim(-1, 1)
        margin = self.kernel_size[0] // 2
        maps = functional.conv2d(maps, self.weight, self.bias, padding=margin, groups=self.groups)
        sets = maps.movedim(1, -1).unflatten(0, (count, apart, apart)).permute(0, 3, 1, 4, 2, 5)
        return sets.flatten(3, 4).flatten(1, 2)[:, :height, :width].movedim(-1, 1)
