"""Convolutions of places and of channels by themselves, beside plain ones with the same weights."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers.separable import Depthwise, Pointwise


def same(layer: nn.Conv2d, x: Tensor) -> None:
    """Outputs, and gradients of the input and of all weights."""
    weights = [x, *layer.parameters()]
    expected = functional.conv2d(
        x, layer.weight, layer.bias, 1, layer.padding, layer.dilation, layer.groups
    )
    found = layer(x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    slope = torch.randn_like(expected)
    pairs = [torch.autograd.grad(each, weights, slope) for each in (found, expected)]
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def maps(layout: torch.memory_format, *shape: int) -> Tensor:
    torch.manual_seed(0)
    made = torch.randn(*shape, dtype=torch.float64)
    return made.contiguous(memory_format=layout).requires_grad_()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 5, 4, 7), (1, 1, 1, 1), (3, 5, 1, 4)])
def test_pointwise(layout, shape) -> None:
    same(Pointwise(shape[1], 3).double(), maps(layout, *shape))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (2, 5), (1, 1)])
@pytest.mark.parametrize(("kernel", "apart"), [(3, 1), (5, 1), (7, 3), (3, 2), (5, 4)])
def test_depthwise(layout, size, kernel, apart) -> None:
    same(Depthwise(4, kernel, apart).double(), maps(layout, 2, 4, *size))


def test_the_layout_stays_channels_last() -> None:
    """Which is what makes them fast one after another."""
    x = maps(torch.channels_last, 2, 4, 9, 9)
    for layer in (Pointwise(4, 6), Depthwise(4, 3), Depthwise(4, 7, 3)):
        found = layer.double()(x)
        assert found.movedim(1, -1).stride(-1) == 1
