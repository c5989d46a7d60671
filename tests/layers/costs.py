"""Sizes and work of units, counted as STIP's Table VII counts them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

M, G = 2**20, 2**30
MAP = (1, 128, 16, 16)


def parameters(unit: nn.Module) -> int:
    """How many numbers a unit learns."""
    return sum(parameter.numel() for parameter in unit.parameters())


def multiply_accumulates(call: Callable[[torch.Tensor], Any]) -> int:
    """Of the convolutions in a call with features of the table's size, on the meta device."""
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        call(torch.zeros(MAP))
    return counter.get_total_flops() // 2
