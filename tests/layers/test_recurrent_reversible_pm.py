"""The reversible predictive module against its equations, and backwards."""

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from test_recurrent_st_lstm import by_hand as st_lstm
from torch import nn
from zigzag import OPTIONS, assert_equal, assert_made, clip, one_by_one, run, run_by_hand, stack

from framecast.errors import ConfigError
from framecast.layers.recurrent.reversible_pm import ReversiblePMUnit


def by_hand(unit, x, state, memory):
    """The two halves, the attention and the swap."""
    n = unit.hidden
    first, second = (x[:, :n], x[:, n:]) if x.shape[1] == 2 * n else (x, x)
    hidden, state, memory = st_lstm(unit.recurrent, first, state, memory)
    seen = hidden
    for layer in unit.attention:
        seen = seen.clamp_min(0) if isinstance(layer, nn.ReLU) else one_by_one(layer, seen, n)[0]
    gate = seen.sigmoid()
    mixed = (1 - gate) * second + gate * hidden
    return torch.cat([mixed, first], 1) if x.shape[1] == 2 * n else mixed, state, memory


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("options", [*OPTIONS, {"attention": (1, 3, 1)}, {"attention": [3]}])
def test_two_units_over_three_frames_equal_the_equations(halves, options):
    """Outputs, states and the memory on its zigzag, for features that are one half or both."""
    units = stack(lambda: ReversiblePMUnit(3 * halves, 3, 3, **options))
    frames = clip(3 * halves, 3, 4)
    assert_made(units[0].recurrent, 4, **options)
    widths = [m.kernel_size[0] for m in units[0].attention.modules() if isinstance(m, nn.Conv2d)]
    assert widths == list(options.get("attention", (3, 3, 1)))
    norms = [m for m in units[0].attention.modules() if isinstance(m, nn.GroupNorm | nn.LayerNorm)]
    assert len(norms) == ("norm" in options) * (len(widths) - 1)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


def test_features_are_had_back_from_the_top():
    """With the hidden states known, the halves follow from the outputs, down three units."""
    torch.manual_seed(0)
    units = [ReversiblePMUnit(6, 3, 3).double() for _ in range(3)]
    frames = clip(6, 4, 5, frames=2)
    seen = run(units, frames)
    with torch.no_grad():
        for frame, features in enumerate(frames):
            value = seen[frame * 3 + 2][0]
            for level in (2, 1, 0):
                hidden = seen[frame * 3 + level][2]
                mixed, first = value.chunk(2, 1)
                gate = units[level].gate(hidden)
                assert 0 < gate.min() < gate.max() < 1
                value = torch.cat([first, (mixed - gate * hidden) / (1 - gate)], 1)
            torch.testing.assert_close(value, features, rtol=1e-9, atol=1e-9)


def test_gradients_reach_every_parameter_through_either_half():
    """Of two units over two frames: in the second unit the halves have swapped."""
    torch.manual_seed(0)
    units = nn.ModuleList(ReversiblePMUnit(4, 2, 3) for _ in range(2))
    frames = torch.randn(2, 1, 4, 3, 4, requires_grad=True)
    states, memory, features = [unit.initial(frames[0]) for unit in units], None, frames[0]
    for frame in frames:
        features = frame
        for level, unit in enumerate(units):
            turn = unit(features, states[level], memory)
            features, memory, states[level] = turn.output, turn.memory, turn.state
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in units.parameters())
    assert frames.grad is not None
    assert (frames.grad[1].abs().sum((0, 2, 3)) > 0).all()


def test_features_that_are_no_halves_are_refused():
    """As an attention without a convolution."""
    with pytest.raises(ConfigError, match="takes 4 or 8 inputs, not 6"):
        ReversiblePMUnit(6, 4)
    with pytest.raises(ConfigError, match="width of one at least"):
        ReversiblePMUnit(4, 4, attention=())


@pytest.mark.parametrize("halves", [1, 2])
def test_size_and_work_are_those_of_the_published_table(halves):
    """7.08M and 1.77G: 18 convolutions of 5×5, 128 to 128, and three of 1×1."""
    with torch.device("meta"):
        unit = ReversiblePMUnit(halves * 128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 18 * 409_600 + 3 * 16_384
    assert round(parameters(unit) / M, 2) == 7.08
    work = multiply_accumulates(lambda x: unit(x.repeat(1, halves, 1, 1), state))
    assert round(work / G, 2) == 1.77
