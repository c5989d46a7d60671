"""Stacks with a second stream, and products gate by gate, for the oracles of their units."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": True, "forget_bias": 0.3},
    {"norm": "group"},
    {"norm": "layer", "size": (3, 4)},
]
"""What units with these options are tried with."""


def stack(make: Callable[[], nn.Module]) -> list[Any]:
    """Two units of a seed in double, with the weights of normalisations drawn too."""
    torch.manual_seed(0)
    units = [make().double() for _ in range(2)]
    for unit in units:
        for module in unit.modules():
            if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
                for parameter in module.parameters():
                    nn.init.normal_(parameter)
    return units


def assert_made(
    unit: Any, norms: int, *, norm: str = "none", bias: bool = False, **rest: Any
) -> None:
    """That as many normalisations, the biases and the constant are there as the options say."""
    kind = {"none": nn.Identity, "group": nn.GroupNorm, "layer": nn.LayerNorm}[norm]
    assert sum(type(module) is kind for module in unit.modules()) >= norms
    convolutions = [m for m in unit.modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]
    assert convolutions
    assert all((module.bias is not None) == bias for module in convolutions)
    assert unit.forget_bias == rest.get("forget_bias", 1.0)


def clip(channels: int, *size: int, frames: int = 3, batch: int = 2) -> Tensor:
    """Features of some frames: t b c h w."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(frames, batch, channels, *size, generator=random, dtype=torch.float64)


def run(units: Sequence[Any], frames: Tensor) -> list[list[Tensor]]:
    """Output, memory and state of every unit in every frame."""
    states, memory, seen = [unit.initial(frames[0]) for unit in units], None, []
    with torch.no_grad():
        for frame in frames:
            features = frame
            for level, unit in enumerate(units):
                turn = unit(features, states[level], memory)
                features, memory, states[level] = turn.output, turn.memory, turn.state
                seen.append([turn.output, turn.memory, *turn.state])
    return seen


def run_by_hand(step: Callable, units: Sequence[Any], frames: Tensor) -> list[list[Tensor]]:
    """As `run`, by a function of unit, features, state and memory; None for what is before."""
    states: list[Any] = [None] * len(units)
    memory, seen = None, []
    with torch.no_grad():
        for frame in frames:
            features = frame
            for level, unit in enumerate(units):
                features, states[level], memory = step(unit, features, states[level], memory)
                seen.append([features, memory, *states[level]])
    return seen


def assert_equal(seen: list[list[Tensor]], expected: list[list[Tensor]]) -> None:
    """Everywhere, to the rounding of doubles."""
    assert len(seen) == len(expected) > 0
    for ours, theirs in zip(seen, expected, strict=True):
        for x, y in zip(ours, theirs, strict=True):
            torch.testing.assert_close(x, y, rtol=1e-9, atol=1e-9)


def one_by_one(layer: nn.Module, maps: Tensor, hidden: int) -> list[Tensor]:
    """The products of a layer, a convolution for each gate, normalised by the definition."""
    convolution, *norms = layer if isinstance(layer, nn.Sequential) else (layer,)
    convolve = functional.conv3d if maps.ndim == 5 else functional.conv2d
    bias = convolution.bias
    made = [
        convolve(
            maps,
            convolution.weight[start : start + hidden],
            None if bias is None else bias[start : start + hidden],
            padding=tuple(width // 2 for width in convolution.weight.shape[2:]),
        )
        for start in range(0, len(convolution.weight), hidden)
    ]
    for norm in norms:
        made = list(normalised(norm, torch.cat(made, 1)).split(hidden, 1))
    return made


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """Mean 0 and variance 1 over all axes but the batch, then the weights, if there are any."""
    if isinstance(norm, nn.Identity):
        return x
    axes = tuple(range(1, x.ndim))
    centred = x - x.mean(axes, keepdim=True)
    x = centred / (centred.square().mean(axes, keepdim=True) + 1e-5).sqrt()
    if norm.weight is None:
        return x
    shape = (-1, *(1 for _ in x.shape[2:])) if norm.weight.ndim == 1 else norm.weight.shape
    return x * norm.weight.reshape(shape) + norm.bias.reshape(shape)
