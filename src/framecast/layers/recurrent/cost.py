"""What a recurrent unit costs, counted."""

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from framecast import registry


@dataclass(frozen=True)
class Cost:
    """Of one unit."""

    parameters: int  # all that it learns
    multiply_adds: int  # of convolutions and matrix products, in one frame of one sample


def cost(name: str, hidden: int, kernel: int, size: tuple[int, int]) -> Cost:
    """Count a unit with its own defaults, at its first frame; nothing is computed.

    A unit that descends does so. Sums, products by elements, activations and warps count nothing.

    Args:
        name: Registered name.
        hidden: Channels of what it takes and of its states.
        kernel: Width of its convolutions.
        size: (h, w) of the map, in cells.

    Raises:
        ConfigError: if no unit has that name.
    """
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        unit = registry.find("units", name)(hidden, hidden, kernel)
        features = torch.zeros(1, hidden, *size)
        turn = unit(features, unit.initial(features))
        if unit.descends:
            unit.descend(turn.output, features)
    learnt = sum(parameter.numel() for parameter in unit.parameters())
    return Cost(learnt, counter.get_total_flops() // 2)
