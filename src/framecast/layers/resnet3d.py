"""The first half of a 3-D ResNet-18, which makes maps of windows of frames, and its mirror image.

A depth of 1, for the kernels in time, makes both of two dimensions: each frame by itself.

Reference:
    Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition (2018),
    Table 1, R3D, and `r3d_18` of torchvision, whose names the weights have.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast import weights
from framecast.errors import ConfigError, FramecastError
from framecast.layers.batch_norm import BatchNorm

Size = tuple[int, int, int]
"""Of time, height and width."""
STILL, FLAT = (1, 1, 1), (1, 2, 2)
"""By how much maps become smaller or larger: not at all, or in height and width only."""
AXES = (2, 3, 4)
"""Of time, height and width in maps and kernels."""
STATISTICS = {"mean": "running_mean", "variance": "running_var"}
"""What torch calls the statistics of `BatchNorm`."""
COUNTER = "num_batches_tracked"
"""What torch's norms count, and `BatchNorm` does not."""
NOT_READ = ("layer3.", "layer4.", "fc.")
"""The half of r3d_18 that makes classes of the maps."""


@dataclass(frozen=True)
class Copied:
    """What a decoder took over from an encoder."""

    copied: tuple[str, ...]  # parameters of the decoder, by name
    left: tuple[str, ...]  # the others, which are as they were


class EncoderBlock(nn.Module):
    """Two convolutions with norms, added to what they were made of."""

    def __init__(self, inputs: int, outputs: int, depth: int, stride: Size) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels in.
            outputs: Channels out.
            depth: Of the kernels, odd.
            stride: In time, height and width; other than 1, or with other channels, what goes past
                the convolutions is made smaller by a 1×1×1 convolution with a norm.
        """
        super().__init__()
        kernel = (depth, 3, 3)
        self.conv1 = nn.Sequential(
            _convolution(inputs, outputs, kernel, stride), BatchNorm(outputs), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(_convolution(outputs, outputs, kernel), BatchNorm(outputs))
        same = inputs == outputs and stride == STILL
        self.downsample = (
            None
            if same
            else nn.Sequential(_convolution(inputs, outputs, (1, 1, 1), stride), BatchNorm(outputs))
        )

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:
        """The block's maps."""
        past = maps if self.downsample is None else self.downsample(maps)
        return functional.relu(self.conv2(self.conv1(maps)) + past, inplace=True)


class ResNet3d(nn.Module):
    """From windows `b c t h w` to maps `b 2·width t/2 h/4 w/4`; with `depth=1` t stays.

    The stem, layer 1 and layer 2 of r3d_18, at its sizes: width 64, depth 3, 2,028,992 parameters.
    The norms are `BatchNorm`: whoever trains calls their `settle` after every step.
    """

    def __init__(self, *, channels: int = 3, width: int = 64, depth: int = 3) -> None:
        """Make the network with new weights.

        Args:
            channels: Channels of a frame in colour, 3 in r3d_18.
            width: Channels of the stem and layer 1; layer 2 has twice as many.
            depth: Of all kernels, odd; layer 2 halves the time where it is more than 1.

        Raises:
            ConfigError: if a size is not positive, or the depth is even.
        """
        super().__init__()
        _check(channels, width, depth)
        self.depth = depth
        self.channels = channels
        self.features = 2 * width
        """Channels of the maps."""
        self.stem = nn.Sequential(
            _convolution(channels, width, (depth, 7, 7), FLAT),
            BatchNorm(width),
            nn.ReLU(inplace=True),
        )
        half = FLAT if depth == 1 else (2, 2, 2)
        self.layer1 = nn.Sequential(
            EncoderBlock(width, width, depth, STILL), EncoderBlock(width, width, depth, STILL)
        )
        self.layer2 = nn.Sequential(
            EncoderBlock(width, 2 * width, depth, half),
            EncoderBlock(2 * width, 2 * width, depth, STILL),
        )

    def forward(self, windows: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:
        """Maps of windows.

        Args:
            windows: Frames of `channels`, or gray: those give what they would give replicated.

        Raises:
            FramecastError: if height or width is no multiple of 4, or, with a depth in time, the
                number of frames is odd.
        """
        time, height, width = windows.shape[2:]
        if height % 4 or width % 4 or (self.depth > 1 and time % 2):
            raise FramecastError(
                f"a window of {time} frames of {height}×{width} has no whole maps: height and "
                f"width are multiples of 4{' and frames are even' if self.depth > 1 else ''}"
            )
        return self.layer2(self.layer1(self._stem(windows)))

    def load_kinetics(self, path: Path) -> None:
        """Take over torchvision's weights of r3d_18, which learnt to tell actions on Kinetics-400.

        That network saw frames less their mean (0.432, 0.395, 0.376), divided by their deviation
        (0.228, 0.221, 0.217); the norms' statistics are of those. Nothing changes after an error.

        Args:
            path: The published file, made safetensors by `framecast weights convert`.

        Raises:
            FramecastError: if the file is none, or a tensor of the stem, layer 1 or layer 2 is
                missing or of another shape, or there is a tensor that r3d_18 has not.
        """
        wanted = dict(_published(self))
        counters = {name.replace("running_mean", COUNTER) for name in wanted}
        weights.fill(
            path,
            wanted,
            "r3d_18 (3 channels, width 64, depth 3)",
            lambda name: name in counters or name.startswith(NOT_READ),
        )

    def _stem(self, windows: Tensor) -> Tensor:
        if windows.shape[1] == self.channels:
            return self.stem(windows)
        weight = self.get_parameter("stem.0.weight").sum(1, keepdim=True)
        maps = functional.conv3d(windows, weight, stride=FLAT, padding=(self.depth // 2, 3, 3))
        return self.stem[1:](maps)


class LargerConv3d(nn.Conv3d):
    """A convolution of maps that are made larger first, by repeating every value.

    The large maps are not made: what is repeated is multiplied once, by the sum of the weights that
    it meets, which makes a transposed convolution of the small maps by a kernel summed over as many
    neighbours. It multiplies 27/8 times less for a kernel of 3 and maps of twice the size, and is
    equal to rounding, also where zeros are around.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Size, times: Size, *, bias: bool = False
    ) -> None:
        """Make the kernel.

        Args:
            inputs: Channels in.
            outputs: Channels out.
            kernel: Depth, height and width, odd.
            times: How many of each value there are then, along each.
            bias: Whether there is one.
        """
        super().__init__(inputs, outputs, kernel, bias=bias)
        self.times = times

    def forward(self, input: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:  # noqa: A002
        """Maps of `times` the size."""
        weight = self.weight.transpose(0, 1).flip(AXES)
        for axis, times in zip(AXES, self.times, strict=True):
            weight = _summed(weight, axis, times)
        padding = tuple(width // 2 for width in self.kernel_size)
        return functional.conv_transpose3d(input, weight, self.bias, self.times, padding)


class DecoderBlock(nn.Module):
    """Two convolutions without norms, added to what they were made of."""

    def __init__(self, inputs: int, outputs: int, depth: int, times: Size = STILL) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels in.
            outputs: Channels out; with others, a 1×1×1 convolution makes them of what goes past.
            depth: Of the kernels, odd.
            times: How much larger the maps are made first, in time, height and width.
        """
        super().__init__()
        kernel = (depth, 3, 3)
        self.times = times
        self.conv1 = (
            _convolution(inputs, outputs, kernel)
            if times == STILL
            else LargerConv3d(inputs, outputs, kernel, times)
        )
        self.conv2 = _convolution(outputs, outputs, kernel)
        self.project = None if inputs == outputs else _convolution(inputs, outputs, (1, 1, 1))

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:
        """The block's maps."""
        inner = self.conv2(functional.relu(self.conv1(maps), inplace=True))
        past = maps if self.project is None else self.project(maps)
        if self.times != STILL:
            past = functional.interpolate(past, inner.shape[2:], mode="nearest")
        return functional.relu(inner + past, inplace=True)


class Decoder3d(nn.Module):
    """From maps `b inputs t h w` to windows `b channels 2·t 4·h 4·w`; with `depth=1` t stays.

    The mirror image of `ResNet3d` without norms; sizes double by repeating the nearest value. Of
    144 inputs, one channel, width 64 and depth 3 it has 2,413,761 parameters.
    """

    def __init__(self, inputs: int, *, channels: int, width: int = 64, depth: int = 3) -> None:
        """Make the network with new weights.

        Args:
            inputs: Channels of the maps.
            channels: Channels of a frame.
            width: Channels of the second half; the first half has twice as many.
            depth: Of all kernels, odd; the time doubles where it is more than 1.

        Raises:
            ConfigError: if a size is not positive, or the depth is even.
        """
        super().__init__()
        _check(channels, width, depth)
        doubled = FLAT if depth == 1 else (2, 2, 2)
        self.deep = nn.Sequential(
            DecoderBlock(inputs, 2 * width, depth), DecoderBlock(2 * width, 2 * width, depth)
        )
        self.wide = nn.Sequential(
            DecoderBlock(2 * width, width, depth, doubled), DecoderBlock(width, width, depth)
        )
        self.output = LargerConv3d(width, channels, (depth, 7, 7), FLAT, bias=True)

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:
        """Windows of frames, not clipped."""
        return self.output(self.wide(self.deep(maps)))


def copy_transposed(encoder: ResNet3d, decoder: Decoder3d) -> Copied:
    """Begin a decoder as the transpose of an encoder, where a convolution has its mirror image.

    Channels in and out change places and kernels are turned around, as in the gradient of the
    encoder's convolution. The encoder has one convolution of layer 1 more than the decoder has in
    its second half; a convolution of other sizes than its mirror image, and a bias, are left.
    """
    sources, copied = encoder.state_dict(), list[str]()
    with torch.no_grad():
        for name, parameter in decoder.named_parameters():
            source = sources.get(MIRRORED.get(name, ""))
            if source is None:
                continue
            turned = source.transpose(0, 1).flip(AXES)
            if turned.shape == parameter.shape:
                parameter.copy_(turned)
                copied.append(name)
    left = [name for name, _ in decoder.named_parameters() if name not in copied]
    return Copied(tuple(copied), tuple(left))


MIRRORED = {
    "deep.0.conv2.weight": "layer2.1.conv2.0.weight",
    "deep.1.conv1.weight": "layer2.1.conv1.0.weight",
    "deep.1.conv2.weight": "layer2.0.conv2.0.weight",
    "wide.0.conv1.weight": "layer2.0.conv1.0.weight",
    "wide.0.project.weight": "layer2.0.downsample.0.weight",
    "wide.0.conv2.weight": "layer1.1.conv1.0.weight",
    "wide.1.conv1.weight": "layer1.0.conv2.0.weight",
    "wide.1.conv2.weight": "layer1.0.conv1.0.weight",
    "output.weight": "stem.0.weight",
}
"""Of which convolution of the encoder one of the decoder is the mirror image."""


def _convolution(
    inputs: int,
    outputs: int,
    kernel: Size,
    stride: Size = STILL,
) -> nn.Conv3d:
    """Without a bias, and with as many zeros around that a stride of 1 keeps the size."""
    depth, height, width = kernel
    padding = (depth // 2, height // 2, width // 2)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)


def _summed(weight: Tensor, axis: int, times: int) -> Tensor:
    """A kernel longer by `times` - 1, the sum of what it is at each of `times` places."""
    width = weight.shape[axis]
    shape = list(weight.shape)
    shape[axis] = width + times - 1
    total = weight.new_zeros(shape)
    for place in range(times):
        total.narrow(axis, place, width).add_(weight)
    return total


def _check(channels: int, width: int, depth: int) -> None:
    if min(channels, width) < 1:
        raise ConfigError("channels and width are at least 1")
    if depth < 1 or depth % 2 == 0:
        raise ConfigError(f"depth is odd, so that windows keep their length; got {depth}")


def _published(encoder: ResNet3d) -> Iterator[tuple[str, Tensor]]:
    """Parameters and statistics by the names that torchvision has for them."""
    for name, tensor in [*encoder.named_parameters(), *encoder.named_buffers()]:
        layer, _, last = name.rpartition(".")
        yield f"{layer}.{STATISTICS.get(last, last)}", tensor
