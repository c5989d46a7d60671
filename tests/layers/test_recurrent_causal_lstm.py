"""The Causal LSTM unit against its equations, gate by gate."""

import math

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from scalars import convolve, sigmoid
from zigzag import OPTIONS, assert_equal, assert_made, clip, one_by_one, run, run_by_hand, stack

from framecast.layers.recurrent.causal_lstm import CausalLSTMState, CausalLSTMUnit


def by_hand(unit, x, state, memory):
    """Eq 1 of PredRNN++ with the products of its authors' program."""
    n = unit.hidden
    zeros = x.new_zeros(len(x), n, *x.shape[2:])
    hidden, cell = (zeros, zeros) if state is None else state
    memory = zeros if memory is None else memory
    ix, fx, gx, ix_, fx_, gx_, ox = one_by_one(unit.from_features, x, n)
    ih, fh, gh, oh = one_by_one(unit.from_hidden, hidden, n)
    ic, fc, gc = one_by_one(unit.from_cell, cell, n)
    im, fm, mm = one_by_one(unit.from_memory, memory, n)
    i, f = (ix + ih + ic).sigmoid(), (fx + fh + fc + unit.forget_bias).sigmoid()
    cell = f * cell + i * (gx + gh + gc).tanh()
    ic_, fc_, gc_, oc = one_by_one(unit.from_new_cell, cell, n)
    i_, f_ = (ix_ + im + ic_).sigmoid(), (fx_ + fm + fc_ + unit.forget_bias).sigmoid()
    memory = f_ * mm.tanh() + i_ * (gx_ + gc_).tanh()
    (om,) = one_by_one(unit.from_new_memory, memory, n)
    (merged,) = one_by_one(unit.merge, torch.cat([cell, memory], 1), n)
    hidden = (ox + oh + oc + om).tanh() * merged.tanh()
    return hidden, CausalLSTMState(hidden, cell), memory


@pytest.mark.parametrize("options", OPTIONS)
def test_two_units_over_three_frames_equal_the_equations(options):
    """Outputs, states and the memory on its zigzag."""
    units, frames = stack(lambda: CausalLSTMUnit(3, 3, 3, **options)), clip(3, 3, 4)
    assert_made(units[0], 6, **options)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


def test_a_pixel_by_scalars():
    """One frame of maps of a single channel, from nothing: no convolution of PyTorch's."""
    (unit, _), frame = stack(lambda: CausalLSTMUnit(2, 1, 3)), clip(2, 3, 4, frames=1, batch=1)
    unit.requires_grad_(False)
    weight = unit.from_features[0].weight
    ((output, memory, _, cell),) = run([unit], frame)

    def one(channel, y, x):
        return convolve(weight, frame[0, 0], channel, y, x)

    def of(layer, maps, channel, y, x):
        return convolve(layer.weight, maps, channel, y, x)

    y, x = 0, 2
    assert float(cell[0, 0, y, x]) == pytest.approx(
        sigmoid(one(0, y, x)) * math.tanh(one(2, y, x)), rel=1e-9
    )
    enter, _, new, leave = (of(unit.from_new_cell[0], cell[0], i, y, x) for i in range(4))
    assert float(memory[0, 0, y, x]) == pytest.approx(
        sigmoid(one(3, y, x) + enter) * math.tanh(one(5, y, x) + new), rel=1e-9
    )
    leave += one(6, y, x) + of(unit.from_new_memory[0], memory[0], 0, y, x)
    merged = of(unit.merge, torch.cat([cell, memory], 1)[0], 0, y, x)
    assert float(output[0, 0, y, x]) == pytest.approx(
        math.tanh(leave) * math.tanh(merged), rel=1e-9
    )


def test_size_and_work_of_the_published_program():
    """22 convolutions of 5×5, 128 to 128, and two of 1×1; not the 7.20M of STIP's Table VII."""
    with torch.device("meta"):
        unit = CausalLSTMUnit(128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 22 * 409_600 + 2 * 16_384
    assert parameters(unit) / M == 8.625
    assert multiply_accumulates(lambda x: unit(x, state)) / G == 2.15625
