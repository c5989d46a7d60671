"""Sums and functions a scalar at a time, of which the oracles of recurrent units are made."""

import math


def sigmoid(x: float) -> float:
    """Scalar logistic function."""
    return 1 / (1 + math.exp(-x))


def convolve(weight, maps, channel, y, x) -> float:
    """One output of a zero-padded convolution, by its definition."""
    total, (_, inputs, size, _) = 0.0, weight.shape
    for i in range(inputs):
        for dy in range(size):
            for dx in range(size):
                row, column = y + dy - size // 2, x + dx - size // 2
                if 0 <= row < maps.shape[1] and 0 <= column < maps.shape[2]:
                    total += float(weight[channel, i, dy, dx]) * float(maps[i, row, column])
    return total
