"""The ConvLSTM unit against loops written from the paper's equations."""

import math

import pytest
import torch
from scalars import convolve, sigmoid

from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit


def by_hand(unit: ConvLSTMUnit, frame, state: ConvLSTMState):
    """Eq 3 of Shi et al., a scalar at a time, for a batch of one."""
    hidden, cell = torch.zeros_like(state.hidden), torch.zeros_like(state.cell)
    n = unit.hidden
    for k in range(n):
        for y in range(hidden.shape[2]):
            for x in range(hidden.shape[3]):

                def gate(index, k=k, y=y, x=x):
                    channel = index * n + k
                    total = convolve(unit.from_hidden.weight, state.hidden[0], channel, y, x)
                    if unit.from_input is not None:
                        total += convolve(unit.from_input.weight, frame[0], channel, y, x)
                    if unit.from_hidden.bias is not None:
                        total += float(unit.from_hidden.bias[channel])
                    return total

                peep = [0.0] * 3 if unit.peephole is None else unit.peephole[:, k, 0, 0].tolist()
                old = float(state.cell[0, k, y, x])
                enter = sigmoid(gate(0) + peep[0] * old)
                forget = sigmoid(gate(1) + unit.forget_bias + peep[1] * old)
                new = forget * old + enter * math.tanh(gate(2))
                leave = sigmoid(gate(3) + peep[2] * new)
                cell[0, k, y, x], hidden[0, k, y, x] = new, leave * math.tanh(new)
    return hidden, cell


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_one_step_equals_the_equations(peephole, bias, forget_bias):
    """Every gate, the cell and the hidden state, at every position."""
    torch.manual_seed(0)
    unit = ConvLSTMUnit(2, 3, 3, bias=bias, peephole=peephole, forget_bias=forget_bias)
    if unit.peephole is not None:
        torch.nn.init.normal_(unit.peephole)
    frame = torch.randn(1, 2, 3, 4)
    state = ConvLSTMState(torch.randn(1, 3, 3, 4), torch.randn(1, 3, 3, 4))
    with torch.no_grad():
        turn = unit(frame, state)
        hidden, cell = by_hand(unit, frame, state)
    torch.testing.assert_close(turn.output, hidden)
    torch.testing.assert_close(turn.state.hidden, hidden)
    torch.testing.assert_close(turn.state.cell, cell)


def test_without_input():
    """A unit of no inputs steps from its state alone and refuses to project."""
    unit = ConvLSTMUnit(0, 2, 3)
    state = ConvLSTMState(torch.randn(1, 2, 3, 3), torch.randn(1, 2, 3, 3))
    with torch.no_grad():
        output, _ = unit.step(None, state)
        torch.testing.assert_close(output, by_hand(unit, None, state)[0])
    with pytest.raises(ValueError, match="without an input"):
        unit.project(torch.zeros(1, 2, 3, 3))
