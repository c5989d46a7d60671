"""SimVP place by place: sums over what every single number is made of, in double precision."""

import math

import numpy as np
from torch import Tensor

from framecast.models.simvp import SimVP

EPS = 1e-5


def convolve(
    maps: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride=1, apart=1, groups=1
) -> np.ndarray:
    """Maps `c h w`, zeros outside."""
    outputs, inputs, kernel, _ = weight.shape
    height, width = maps.shape[1:]
    found = np.zeros((outputs, height // stride, width // stride))
    for o, y, x in np.ndindex(*found.shape):
        first = o // (outputs // groups) * inputs
        total = bias[o]
        for i, a, b in np.ndindex(inputs, kernel, kernel):
            row = y * stride + apart * (a - kernel // 2)
            column = x * stride + apart * (b - kernel // 2)
            if 0 <= row < height and 0 <= column < width:
                total += weight[o, i, a, b] * maps[first + i, row, column]
        found[o, y, x] = total
    return found


def group_norm(maps: np.ndarray, groups: int, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    size = len(maps) // groups
    found = np.zeros_like(maps)
    for c in range(len(maps)):
        group = maps[c // size * size : c // size * size + size]
        spread = math.sqrt(((group - group.mean()) ** 2).mean() + EPS)
        found[c] = (maps[c] - group.mean()) / spread * weight[c] + bias[c]
    return found


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gelu(x: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda v: v * (1 + math.erf(v / math.sqrt(2))) / 2)(x)


class Naive:
    """A trained model's weights, one clip at a time."""

    def __init__(self, model: SimVP) -> None:
        self.config = model.config
        self.tensors: dict[str, Tensor] = model.state_dict()

    def of(self, name: str) -> np.ndarray:
        return self.tensors[name].double().numpy()

    def convolution(self, name: str, maps: np.ndarray, **options) -> np.ndarray:
        return convolve(maps, self.of(f"{name}.weight"), self.of(f"{name}.bias"), **options)

    def resized(self, name: str, maps: np.ndarray, stride: int = 1, shuffle: bool = False):
        """Convolution, GroupNorm of two groups, SiLU."""
        maps = self.convolution(f"{name}.convolution", maps, stride=stride)
        if shuffle:
            larger = np.zeros((len(maps) // 4, maps.shape[1] * 2, maps.shape[2] * 2))
            for c, y, x in np.ndindex(*larger.shape):
                larger[c, y, x] = maps[4 * c + 2 * (y % 2) + x % 2, y // 2, x // 2]
            maps = larger
        maps = group_norm(maps, 2, self.of(f"{name}.norm.weight"), self.of(f"{name}.norm.bias"))
        return maps * sigmoid(maps)

    def block(self, frames: np.ndarray) -> np.ndarray:
        """Frames `t c h w` to the next ones."""
        config = self.config
        firsts, image = [], []
        for frame in frames:
            maps = self.resized("encoder.first", frame)
            firsts.append(maps)
            for layer in range(2 * config.halvings - 1):
                maps = self.resized(f"encoder.rest.{layer}", maps, stride=1 if layer % 2 else 2)
            image.extend(maps)
        translate = {"gsta": self.gsta, "inception": self.inception}[config.translator]
        future = translate(np.stack(image))
        predicted = []
        for number in range(config.future):
            maps = future[number * config.hidden : (number + 1) * config.hidden]
            for layer in range(2 * config.halvings - 1):
                maps = self.resized(f"decoder.rest.{layer}", maps, shuffle=layer % 2 == 0)
            maps = self.resized("decoder.last", maps + self.beside(firsts, number))
            predicted.append(self.convolution("decoder.output", maps))
        return np.stack(predicted)

    def beside(self, firsts: list[np.ndarray], number: int) -> np.ndarray:
        """Frames are paired in order: the last ones seen, and the very last one goes on."""
        count = self.config.future
        padded = firsts[-count:] + [firsts[-1]] * count
        return padded[number]

    def inception(self, maps: np.ndarray) -> np.ndarray:
        blocks, kept = self.config.blocks, []
        for number in range(blocks):
            maps = self.inception_block(f"translator.down.{number}", maps)
            kept.append(maps)
        maps = self.inception_block("translator.up.0", maps)
        for number in range(1, blocks):
            both = np.concatenate([maps, kept[blocks - 1 - number]])
            maps = self.inception_block(f"translator.up.{number}", both)
        return maps

    def inception_block(self, name: str, maps: np.ndarray) -> np.ndarray:
        maps, found = self.convolution(f"{name}.narrow", maps), 0.0
        groups = self.config.groups
        for side in range(len(self.config.inception)):
            base = f"{name}.sides.{side}"
            one = self.convolution(f"{base}.0", maps, groups=groups)
            one = group_norm(one, groups, self.of(f"{base}.1.weight"), self.of(f"{base}.1.bias"))
            found = found + np.where(one > 0, one, 0.2 * one)
        return np.asarray(found)

    def gsta(self, maps: np.ndarray) -> np.ndarray:
        config, part = self.config, 0
        widths = [config.context * config.hidden, *[config.wide] * (config.blocks - 1)]
        widths.append(config.future * config.hidden)
        for number in range(config.blocks):
            maps = self.added(f"translator.parts.{part}", maps, self.attention)
            maps = self.added(f"translator.parts.{part + 1}", maps, self.mixer)
            part += 2
            if widths[number] != widths[number + 1]:
                maps = self.convolution(f"translator.parts.{part}", maps)
                part += 1
        return maps

    def added(self, name: str, maps: np.ndarray, network) -> np.ndarray:
        """Normalised by the running statistics, scaled, added."""
        terms = ("mean", "variance", "weight", "bias")
        mean, variance, weight, bias = (
            self.of(f"{name}.norm.{term}")[:, None, None] for term in terms
        )
        normal = (maps - mean) / np.sqrt(variance + EPS) * weight + bias
        return maps + self.of(f"{name}.scale") * network(f"{name}.network", normal)

    def attention(self, name: str, maps: np.ndarray) -> np.ndarray:
        each = len(maps)
        inner = gelu(self.convolution(f"{name}.enter", maps))
        inner = self.convolution(f"{name}.near", inner, groups=each)
        inner = self.convolution(f"{name}.far", inner, groups=each, apart=self.config.reach[2])
        inner = self.convolution(f"{name}.gates", inner)
        return self.convolution(f"{name}.leave", inner[:each] * sigmoid(inner[each:])) + maps

    def mixer(self, name: str, maps: np.ndarray) -> np.ndarray:
        inner = self.convolution(f"{name}.enter", maps)
        inner = gelu(self.convolution(f"{name}.near", inner, groups=len(inner)))
        return self.convolution(f"{name}.leave", inner)
