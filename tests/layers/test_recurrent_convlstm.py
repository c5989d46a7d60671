"""The ConvLSTM unit against loops written from the paper's equations."""

import math
from itertools import product

import pytest
import torch
from scalars import convolve, sigmoid

from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit

SIZES = {None: (3, 4), 1: (2, 2, 3), 3: (2, 2, 3)}
"""Of maps, for each depth of kernels."""
every_depth = pytest.mark.parametrize("depth", SIZES)


def by_hand(unit: ConvLSTMUnit, frame, state: ConvLSTMState):
    """Eq 3 of Shi et al., a scalar at a time, for a batch of one."""
    hidden, cell = torch.zeros_like(state.hidden), torch.zeros_like(state.cell)
    n = unit.hidden
    for k, *place in product(*map(range, hidden.shape[1:])):

        def gate(index, k=k, place=place):
            channel = index * n + k
            total = convolve(unit.from_hidden.weight, state.hidden[0], channel, *place)
            if unit.from_input is not None:
                total += convolve(unit.from_input.weight, frame[0], channel, *place)
            if unit.from_hidden.bias is not None:
                total += float(unit.from_hidden.bias[channel])
            return total

        peep = [0.0] * 3 if unit.peephole is None else unit.peephole[:, k].flatten().tolist()
        at = (0, k, *place)
        old = float(state.cell[at])
        enter = sigmoid(gate(0) + peep[0] * old)
        forget = sigmoid(gate(1) + unit.forget_bias + peep[1] * old)
        new = forget * old + enter * math.tanh(gate(2))
        leave = sigmoid(gate(3) + peep[2] * new)
        cell[at], hidden[at] = new, leave * math.tanh(new)
    return hidden, cell


@every_depth
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("forget_bias", [0.0, 1.0])
def test_one_step_equals_the_equations(depth, peephole, bias, forget_bias):
    """Every gate, the cell and the hidden state, at every position."""
    torch.manual_seed(0)
    unit = ConvLSTMUnit(2, 3, 3, depth=depth, bias=bias, peephole=peephole, forget_bias=forget_bias)
    if unit.peephole is not None:
        torch.nn.init.normal_(unit.peephole)
    size = SIZES[depth]
    frame = torch.randn(1, 2, *size)
    state = ConvLSTMState(torch.randn(1, 3, *size), torch.randn(1, 3, *size))
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


@every_depth
def test_the_first_state_is_zeros_of_the_features_size(depth):
    """For features of one frame, and of several."""
    unit, size = ConvLSTMUnit(2, 3, 3, depth=depth), SIZES[depth]
    for frames in [(), (6,)]:
        state = unit.initial(torch.ones(4, *frames, 2, *size, dtype=torch.float64))
        for zeros in state:
            assert zeros.shape == (4, 3, *size)
            assert zeros.dtype == torch.float64
            assert not zeros.any()


@every_depth
def test_products_of_parts_of_the_input_add_up(depth):
    """To the product of the whole, and gradients reach the kernel through them."""
    torch.manual_seed(0)
    unit = ConvLSTMUnit(5, 3, 3, depth=depth).double()
    whole = torch.randn(2, 5, *SIZES[depth], dtype=torch.float64)
    first, middle, last = whole.split((2, 1, 2), 1)
    parts = unit.project(first, 0) + unit.project(middle, 2) + unit.project(last, 3)
    torch.testing.assert_close(parts, unit.project(whole))
    torch.testing.assert_close(unit.project(whole, 0), unit.project(whole))
    weighed = torch.randn_like(parts)
    found, expected = (
        torch.autograd.grad((weighed * product).sum(), unit.from_input.weight)
        for product in (parts, unit.project(whole))
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("first", [-1, 3, 5])
def test_parts_lie_within_the_input(first):
    """Also where a slice of the kernel would have been long enough."""
    unit = ConvLSTMUnit(4, 2, 3, depth=3)
    with pytest.raises(ValueError, match=f"channels {first} to {first + 1} are not within .* of 4"):
        unit.project(torch.zeros(1, 2, 2, 3, 3), first)


@pytest.mark.parametrize(("inputs", "parameters"), [(144, 3_760_640), (128, 3_539_456)])
def test_parameters_of_v3d_convlstm(inputs, parameters):
    """Two layers of 128 channels on maps of three axes, the lower one of 128 + 16."""
    with torch.device("meta"):
        unit = ConvLSTMUnit(inputs, 128, 3, depth=3)
    assert sum(parameter.numel() for parameter in unit.parameters()) == parameters
