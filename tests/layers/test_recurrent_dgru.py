"""The dGRU unit against one GRU in each direction, a scalar at a time."""

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from test_recurrent_convgru import by_hand

from framecast.layers.recurrent.convgru import ConvGRUUnit
from framecast.layers.recurrent.dgru import DGRUState, DGRUUnit
from framecast.layers.recurrent.unit import Unit


@pytest.mark.parametrize("bias", [False, True])
def test_both_directions_equal_the_equations(bias):
    """Up updates the hidden state from below; down updates what is below from the hidden state."""
    torch.manual_seed(0)
    unit = DGRUUnit(2, 3, 3, bias=bias).double()
    below, hidden = torch.randn(1, 2, 3, 4).double(), torch.randn(1, 3, 3, 4).double()
    with torch.no_grad():
        turn = unit(below, DGRUState(hidden))
        torch.testing.assert_close(turn.output[0], by_hand(unit.up, below[0], hidden[0]))
        torch.testing.assert_close(turn.state.hidden, turn.output)
        down = unit.descend(hidden, below)
        torch.testing.assert_close(down[0], by_hand(unit.down, hidden[0], below[0]))


def test_each_direction_has_gates_of_its_own():
    """Zeroed gates below leave the way up alone, and the other way round."""
    torch.manual_seed(0)
    unit, level = DGRUUnit(3, 3, 3), torch.randn(2, 1, 3, 4, 5)
    with torch.no_grad():
        up, down = unit(level[0], DGRUState(level[1])).output, unit.descend(level[0], level[1])
        for parameter in unit.down.parameters():
            parameter.zero_()
        assert torch.equal(unit(level[0], DGRUState(level[1])).output, up)
        torch.testing.assert_close(unit.descend(level[0], level[1]), level[1] / 2)
        assert not torch.allclose(down, level[1] / 2)


def test_a_unit_that_only_goes_up_says_so():
    """A stack reads `descends`; who does not is told."""
    assert DGRUUnit.descends
    assert not Unit.descends
    level = torch.zeros(1, 2, 3, 3)
    with pytest.raises(NotImplementedError, match="ConvGRUUnit only goes up"):
        ConvGRUUnit(2, 2, 3).descend(level, level)


def test_size_and_work_are_those_of_the_published_table():
    """4.69M and 1.17G: twelve convolutions of 5×5, 128 to 128."""
    with torch.device("meta"):
        unit = DGRUUnit(128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 12 * 409_600
    assert round(parameters(unit) / M, 2) == 4.69

    def up_and_down(features):
        unit.descend(unit(features, state).output, features)

    assert round(multiply_accumulates(up_and_down) / G, 2) == 1.17


def test_bias_is_in_both_directions():
    """One number per gate and candidate of the hidden state, and of what is below."""
    weights = parameters(DGRUUnit(2, 4, 3))
    assert parameters(DGRUUnit(2, 4, 3, bias=True)) == weights + 3 * 4 + 3 * 2
