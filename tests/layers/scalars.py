"""Sums and functions a scalar at a time, of which the oracles of recurrent units are made."""

import math
from itertools import product


def sigmoid(x: float) -> float:
    """Scalar logistic function."""
    return 1 / (1 + math.exp(-x))


def convolve(weight, maps, channel, *place) -> float:
    """One output of a zero-padded convolution, by its definition, in as many axes as the place."""
    total, inputs, widths = 0.0, weight.shape[1], weight.shape[2:]
    for offset in product(*map(range, widths)):
        at = tuple(p + d - n // 2 for p, d, n in zip(place, offset, widths, strict=True))
        if all(0 <= a < size for a, size in zip(at, maps.shape[1:], strict=True)):
            for i in range(inputs):
                total += float(weight[(channel, i, *offset)]) * float(maps[(i, *at)])
    return total
