"""Residual blocks, by definition."""

import pytest
import torch
from torch.nn import functional

from framecast.layers.residual import ResidualBlock


@pytest.mark.parametrize(("dimensions", "size"), [(2, (4, 5)), (3, (3, 4, 5))])
def test_a_block_adds_to_its_input(dimensions, size):
    torch.manual_seed(1)
    block = ResidualBlock(6, 3, dimensions)
    convolve = functional.conv2d if dimensions == 2 else functional.conv3d
    first, second = block[1], block[3]
    assert tuple(first.weight.shape) == (3, 6, *(3,) * dimensions)
    x = torch.randn(2, 6, *size)
    inner = convolve(x.clamp_min(0), first.weight, first.bias, padding=1).clamp_min(0)
    expected = x + convolve(inner, second.weight, second.bias)
    torch.testing.assert_close(block(x), expected)
