"""Inception-3D for RGB, whose Kinetics-400 logits are the features of FVD.

Its weights are not part of the package: a folder of weights (see `lpips`) holds
`i3d-kinetics-400.safetensors`, which `framecast weights convert` makes from the PyTorch conversion
of the published network that most projects use (`rgb_imagenet.pt`); the tensors keep its names.

Reference: Carreira & Zisserman, "Quo vadis, action recognition? A new model and the Kinetics
dataset", CVPR 2017, figure 3; Unterthiner et al., "Towards accurate generative models of video: a
new metric and challenges" (2018).
"""

from collections.abc import Iterator
from functools import lru_cache
from math import ceil
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast import weights as files
from framecast.errors import FramecastError
from framecast.evaluation.metrics.lpips import UNNAMED, folder_of

Size = tuple[int, int, int]
"""Of time, height and width."""

NAME = "i3d-kinetics-400"
"""Of the features that FVD is made of."""
FILE = f"{NAME}.safetensors"
SIDE = 224
"""Height and width that frames are resized to, aspect not kept."""
SHORTEST = 10
"""Fewest frames of a clip. The network itself needs 9: fewer leave less than the two steps in time
that its last pooling is over."""
CLASSES = 400
EPS = 1e-3
"""Added to the variances of the norms, as in the published network; PyTorch's own is 1e-5."""
PORTION = 4
"""Clips looked into at a time: one of 16 frames needs about 100 MB."""
COUNTER = "num_batches_tracked"

MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of a module's convolutions: 1×1×1; 1×1×1 to 3×3×3; the same; 1×1×1 after pooling."""


class Unit(nn.Module):
    """A convolution without bias, its norm and a ReLU; zeros around as TensorFlow's SAME."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: Size = (1, 1, 1)) -> None:
        """Make the layers."""
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=EPS)

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t2 h2 w2"]:
        """Maps of a size divided by the stride, rounded up."""
        return self.bn(self.conv3d(same(maps, self.kernel, self.stride))).relu()


class Pool(nn.Module):
    """Maximum over neighbours, with TensorFlow's SAME around."""

    def __init__(self, kernel: Size, stride: Size) -> None:
        """Note the sizes."""
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t2 h2 w2"]:
        """Maps of a size divided by the stride, rounded up."""
        # zeros change no maximum, for every map here comes from a ReLU
        return functional.max_pool3d(same(maps, self.kernel, self.stride), self.kernel, self.stride)


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, channels: tuple[int, int, int, int, int, int]) -> None:
        """Make the branches; `channels` as in `MIXED`."""
        super().__init__()
        alone, middle, wide, narrow, second, pooled = channels
        point, cube = (1, 1, 1), (3, 3, 3)
        self.b0 = Unit(inputs, alone, point)
        self.b1a = Unit(inputs, middle, point)
        self.b1b = Unit(middle, wide, cube)
        self.b2a = Unit(inputs, narrow, point)
        self.b2b = Unit(narrow, second, cube)
        self.b3a = Pool(cube, point)
        self.b3b = Unit(inputs, pooled, point)

    def forward(self, maps: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b k t h w"]:
        """Channels of all branches, one after the other."""
        branches = (
            self.b0(maps),
            self.b1b(self.b1a(maps)),
            self.b2b(self.b2a(maps)),
            self.b3b(self.b3a(maps)),
        )
        return torch.cat(branches, 1)


class I3d(nn.Module):
    """The network, in evaluation mode and without gradients: 12,697,264 parameters."""

    def __init__(self) -> None:
        """Make it with new weights, which are of no use but to be replaced."""
        super().__init__()
        for name, layer in _layers():
            self.add_module(name, layer)
        self.logits = nn.ModuleDict({"conv3d": nn.Conv3d(1024, CLASSES, 1)})
        self.eval().requires_grad_(False)

    def forward(self, clips: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b 400"]:
        """Logits, mean over time.

        Args:
            clips: RGB in [-1, 1], of 9 frames at least. Of 224×224 pixels for FVD; the last pooling
                is over all positions whatever the size.
        """
        maps = clips
        for name, layer in self.named_children():
            if name != "logits":
                maps = layer(maps)
        pooled = functional.avg_pool3d(maps, (2, *maps.shape[3:]), stride=1)
        return self.logits["conv3d"](pooled).flatten(2).mean(2)

    def fill(self, path: Path) -> None:
        """Take over converted weights.

        Raises:
            FramecastError: if a tensor is missing, of another shape or of another network. Nothing
                changes then.
        """
        state = self.state_dict()
        wanted = {name: own for name, own in state.items() if not _is_counter(name)}
        files.fill(path, wanted, f"I3D of {CLASSES} classes", _is_counter)


class I3dLogits:
    """The features of FVD: a `VideoFeatures` whose weights are loaded when first asked for."""

    name = NAME
    shortest = SHORTEST

    def __init__(self, weights: Path | None) -> None:
        """Note the folder of weights; None for the one that `FRAMECAST_WEIGHTS` names."""
        self.weights = weights

    def __call__(self, clips: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b 400"]:
        """Features of clips in [0, 1], RGB or gray, on their device.

        Raises:
            FramecastError: as `prepared` and `load`.
        """
        network = load(self.weights, clips.device)
        with torch.no_grad():
            return torch.cat([network(prepared(part)) for part in clips.split(PORTION)])


def prepared(clips: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b 3 t 224 224"]:
    """What FVD feeds the network with: RGB in [-1, 1] at 224×224 pixels.

    Args:
        clips: Frames in [0, 1], of 3 channels, or of one, which is repeated; 10 frames at least.

    Raises:
        FramecastError: for another number of channels or too few frames.
    """
    batch, length, channels, height, width = clips.shape
    if channels not in (1, 3):
        raise FramecastError(f"FVD compares frames of 1 or 3 channels, not {channels}")
    if length < SHORTEST:
        raise FramecastError(f"a clip of {length} frames is too short for FVD: {SHORTEST} at least")
    images = clips.float().reshape(batch * length, channels, height, width)
    large = resized(images, SIDE).expand(-1, 3, -1, -1)
    return (2 * large - 1).reshape(batch, length, 3, SIDE, SIDE).transpose(1, 2)


def resized(images: Float[Tensor, "n c h w"], side: int) -> Float[Tensor, "n c side side"]:
    """Bilinear as in FVD's code: pixel i of the result lies at i·(old size / `side`).

    The first pixels of both so lie on each other, where `interpolate` of PyTorch, with or without
    `align_corners`, lets the centres or both ends of the pictures meet. No antialiasing.
    """
    return _along(_along(images, 3, side), 2, side)


def same(
    maps: Float[Tensor, "b c t h w"], kernel: Size, stride: Size
) -> Float[Tensor, "b c _ _ _"]:
    """Zeros around as TensorFlow's SAME puts them: as many as needed, the odd one behind.

    The sides depend on the size of the maps: 224 in, kernel 7, stride 2 gives 2 before, 3 behind.
    """
    sides: list[int] = []
    for size, width, step in zip(maps.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((ceil(size / step) - 1) * step + width - size, 0)
        sides += [total // 2, total - total // 2]
    return functional.pad(maps, sides) if any(sides) else maps


def missing(weights: Path | None) -> str | None:
    """Why FVD cannot be computed, in one line; None where its weights are there."""
    folder = folder_of(weights)
    if folder is None:
        return UNNAMED
    return None if (folder / FILE).is_file() else f"{folder} lacks {FILE}"


def load(weights: Path | None, device: torch.device) -> I3d:
    """The network with converted weights; loaded once per folder and device.

    Args:
        weights: Folder of weights; None for the one that `FRAMECAST_WEIGHTS` names.
        device: Where the clips are.

    Raises:
        FramecastError: The file is missing or of another network.
    """
    folder, reason = folder_of(weights), missing(weights)
    if folder is None or reason is not None:
        raise FramecastError(f"FVD needs the weights of I3D: {reason}")
    return _loaded(folder.resolve() / FILE, device)


@lru_cache(maxsize=2)
def _loaded(path: Path, device: torch.device) -> I3d:
    network = I3d()
    network.fill(path)
    return network.to(device)


def _layers() -> Iterator[tuple[str, nn.Module]]:
    """All layers but the last, in order."""
    yield "Conv3d_1a_7x7", Unit(3, 64, (7, 7, 7), (2, 2, 2))
    yield "MaxPool3d_2a_3x3", Pool((1, 3, 3), (1, 2, 2))
    yield "Conv3d_2b_1x1", Unit(64, 64, (1, 1, 1))
    yield "Conv3d_2c_3x3", Unit(64, 192, (3, 3, 3))
    yield "MaxPool3d_3a_3x3", Pool((1, 3, 3), (1, 2, 2))
    channels = 192
    for name, widths in MIXED.items():
        if name == "Mixed_4b":
            yield "MaxPool3d_4a_3x3", Pool((3, 3, 3), (2, 2, 2))
        if name == "Mixed_5b":
            yield "MaxPool3d_5a_2x2", Pool((2, 2, 2), (2, 2, 2))
        yield name, Inception(channels, widths)
        channels = widths[0] + widths[2] + widths[4] + widths[5]


def _along(images: Tensor, axis: int, side: int) -> Tensor:
    size = images.shape[axis]
    if size == side:
        return images
    places = torch.arange(side, device=images.device) * (size / side)
    before = places.floor().long()
    behind = (before + 1).clamp(max=size - 1)
    share = (places - before).to(images.dtype).reshape(-1, *(1,) * (images.ndim - 1 - axis))
    first, second = images.index_select(axis, before), images.index_select(axis, behind)
    return first.lerp(second, share)


def _is_counter(name: str) -> bool:
    return name.endswith(COUNTER)
