"""Stacks of convolutions trained on ImageNet, as far as LPIPS looks into them.

The parameter names are those of torchvision's state dicts (`features.0.weight`, …), so that files
converted from there load as they are; the classifiers are not built and their weights not read.

Reference: Krizhevsky, "One weird trick for parallelizing convolutional neural networks" (2014);
Simonyan & Zisserman, "Very deep convolutional networks" (2015), configuration D; Iandola et al.,
"SqueezeNet" (2016), version 1.1.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Network = Literal["alex", "vgg", "squeeze"]

FILES: Mapping[Network, str] = {
    "alex": "alexnet.safetensors",
    "vgg": "vgg16.safetensors",
    "squeeze": "squeezenet1_1.safetensors",
}
"""Name of each network's file in a folder of weights."""

CHANNELS: Mapping[Network, tuple[int, ...]] = {
    "alex": (64, 192, 384, 256, 256),
    "vgg": (64, 128, 256, 512, 512),
    "squeeze": (64, 128, 256, 384, 384, 512, 512),
}
"""Channels of the layers that are compared."""

LAYERS: Mapping[Network, tuple[int, ...]] = {
    "alex": (1, 4, 7, 9, 11),
    "vgg": (3, 8, 15, 22, 29),
    "squeeze": (1, 4, 7, 9, 10, 11, 12),
}
"""Numbers of those layers in the stack: ReLUs, or fire modules, which end in one."""

SMALLEST: Mapping[Network, int] = {"alex": 31, "vgg": 16, "squeeze": 17}
"""Fewest pixels per side that leave every layer at least one value."""


class Features(nn.Module):
    """A network's stack of layers, cut behind the last one that is compared."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network: Network = network
        build = {"alex": _alexnet, "vgg": _vgg16, "squeeze": _squeezenet}[network]
        self.features = nn.Sequential(*build())

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """Outputs of the layers in `LAYERS`, in that order."""
        wanted, outputs = set(LAYERS[self.network]), []
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number in wanted:
                outputs.append(images)
        return outputs


class Fire(nn.Module):
    """SqueezeNet's module: 1×1 down, then 1×1 and 3×3 side by side, ReLU after each."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n e h w"]:
        """Channels of both expansions, one after the other."""
        narrow = self.squeeze(images).relu()
        return torch.cat((self.expand1x1(narrow), self.expand3x3(narrow)), 1).relu()


def _alexnet() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    ]


def _vgg16() -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels = 3
    blocks: Sequence[tuple[int, int]] = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    for number, (width, depth) in enumerate(blocks):
        if number:
            layers.append(nn.MaxPool2d(2, 2))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return layers


def _squeezenet() -> list[nn.Module]:
    return [
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    ]
