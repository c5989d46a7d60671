"""The ST-LSTM unit against its equations, gate by gate."""

import pytest
import torch
from costs import MAP, parameters
from zigzag import OPTIONS, assert_equal, assert_made, clip, one_by_one, run, run_by_hand, stack

from framecast.layers.recurrent.st_lstm import STLSTMState, STLSTMUnit


def by_hand(unit, x, state, memory):
    """The equations of PredRNN."""
    n = unit.hidden
    zeros = x.new_zeros(len(x), n, *x.shape[2:])
    hidden, cell = (zeros, zeros) if state is None else state
    memory = zeros if memory is None else memory
    ix, fx, gx, ix_, fx_, gx_, ox = one_by_one(unit.from_features, x, n)
    ih, fh, gh, oh = one_by_one(unit.from_hidden, hidden, n)
    im, fm, gm = one_by_one(unit.from_memory, memory, n)
    cell = (fx + fh + unit.forget_bias).sigmoid() * cell + (ix + ih).sigmoid() * (gx + gh).tanh()
    f_, i_, g_ = (fx_ + fm + unit.forget_bias).sigmoid(), (ix_ + im).sigmoid(), (gx_ + gm).tanh()
    memory = f_ * memory + i_ * g_
    both = torch.cat([cell, memory], 1)
    (seen,), (merged,) = one_by_one(unit.from_new, both, n), one_by_one(unit.merge, both, n)
    hidden = (ox + oh + seen).sigmoid() * merged.tanh()
    return hidden, STLSTMState(hidden, cell), memory


@pytest.mark.parametrize("options", OPTIONS)
def test_two_units_over_three_frames_equal_the_equations(options):
    """Outputs, states and the memory on its zigzag."""
    units, frames = stack(lambda: STLSTMUnit(3, 3, 3, **options)), clip(3, 3, 4)
    assert_made(units[0], 4, **options)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


def test_features_may_be_of_other_channels():
    """In the lowest unit of a stack."""
    (unit, _), frames = stack(lambda: STLSTMUnit(2, 3, 3)), clip(2, 4, 3)
    assert_equal(run([unit], frames), run_by_hand(by_hand, [unit], frames))


def test_size():
    """16 convolutions of 5×5, 128 to 128, and two of 1×1."""
    with torch.device("meta"):
        unit = STLSTMUnit(MAP[1], MAP[1])
    assert parameters(unit) == 16 * 409_600 + 2 * 16_384
