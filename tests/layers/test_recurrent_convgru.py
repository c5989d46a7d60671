"""The ConvGRU unit against loops written from the paper's equations."""

import math

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from scalars import convolve, sigmoid

from framecast.layers.recurrent.convgru import ConvGRUState, ConvGRUUnit


def by_hand(unit: ConvGRUUnit, frame, hidden):
    """Update gate, reset gate, candidate and hidden state, a scalar at a time, for one sequence."""
    n, (height, width) = unit.hidden, frame.shape[-2:]
    bias = torch.zeros(3 * n) if unit.from_input.bias is None else unit.from_input.bias
    places = [(k, y, x) for k in range(n) for y in range(height) for x in range(width)]

    def from_input(product, k, y, x):
        channel = product * n + k
        return convolve(unit.from_input.weight, frame, channel, y, x) + float(bias[channel])

    def gate(product, k, y, x):
        seen = convolve(unit.from_hidden.weight, hidden, product * n + k, y, x)
        return sigmoid(from_input(product, k, y, x) + seen)

    reset, new = torch.empty_like(hidden), torch.empty_like(hidden)
    for place in places:
        reset[place] = gate(1, *place) * hidden[place]
    for place in places:
        update = gate(0, *place)
        candidate = math.tanh(
            from_input(2, *place) + convolve(unit.from_reset.weight, reset, *place)
        )
        new[place] = (1 - update) * hidden[place] + update * candidate
    return new


@pytest.mark.parametrize("bias", [False, True])
def test_one_step_equals_the_equations(bias):
    """At every position, with as many inputs as it likes."""
    torch.manual_seed(0)
    unit = ConvGRUUnit(2, 3, 3, bias=bias).double()
    frame, hidden = torch.randn(1, 2, 3, 4).double(), torch.randn(1, 3, 3, 4).double()
    with torch.no_grad():
        turn = unit(frame, ConvGRUState(hidden))
        expected = by_hand(unit, frame[0], hidden[0])
    torch.testing.assert_close(turn.output[0], expected)
    torch.testing.assert_close(turn.state.hidden, turn.output)


def test_size_and_work_are_those_of_the_published_table():
    """2.34M and 0.59G: six convolutions of 5×5, 128 to 128."""
    with torch.device("meta"):
        unit = ConvGRUUnit(128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 6 * 409_600
    assert round(parameters(unit) / M, 2) == 2.34
    assert round(multiply_accumulates(lambda features: unit(features, state)) / G, 2) == 0.59


def test_bias_adds_one_number_per_gate_and_candidate():
    """And only convolution weights are there without it."""
    weights = parameters(ConvGRUUnit(2, 4, 3))
    assert parameters(ConvGRUUnit(2, 4, 3, bias=True)) == weights + 3 * 4
