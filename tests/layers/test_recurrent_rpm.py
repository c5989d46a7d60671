"""The RPM unit against its equations, with lists of past maps."""

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from zigzag import (
    OPTIONS,
    assert_equal,
    assert_made,
    clip,
    normalised,
    one_by_one,
    run,
    run_by_hand,
    stack,
)

from framecast.errors import ConfigError
from framecast.layers.recurrent.rpm import RPMState, RPMUnit


def by_hand(unit, x, state, memory):
    """The equations, the past as lists of maps with zeros before the first."""
    n, zeros = unit.hidden, x.new_zeros(len(x), unit.hidden, *x.shape[2:])
    hidden = zeros if state is None else state.hidden
    cells = [zeros] * unit.history if state is None else list(state.cells.split(n, 1))
    memories = [zeros] * unit.history if memory is None else list(memory.split(n, 1))
    t, s, o = (
        normalised(norm, part)
        for norm, part in zip(unit.norms, one_by_one(unit.from_features, x, n), strict=True)
    )
    (h,), (m,) = (
        one_by_one(unit.from_hidden, hidden, n),
        one_by_one(unit.from_memory, memories[-1], n),
    )
    (past,) = one_by_one(unit.from_cells, torch.cat(cells, 1), n)
    cell = (t + h).sigmoid() * (t + h).tanh() + (t + h + unit.forget_bias).sigmoid() * past
    (past,) = one_by_one(unit.from_memories, torch.cat(memories, 1), n)
    new = (s + m).sigmoid() * (s + m).tanh() + (s + m + unit.forget_bias).sigmoid() * past
    both = torch.cat([cell, new], 1)
    (seen,), (merged,) = one_by_one(unit.from_new, both, n), one_by_one(unit.merge, both, n)
    gate = (o + h + seen).sigmoid()
    residual = x
    if unit.residual is not None:
        (residual,) = one_by_one(unit.residual, torch.cat([x, x, gate], 1), n)
    output = gate * merged.tanh() + residual
    memory = torch.cat([*memories, new][1:], 1)
    return output, RPMState(output, torch.cat([*cells, cell][1:], 1)), memory


@pytest.mark.parametrize("history", [1, 2, 5])
@pytest.mark.parametrize("options", [*OPTIONS, {"residual": "plain"}])
def test_two_units_over_four_frames_equal_the_equations(history, options):
    """Outputs, states and the last memories of the stream, before and after it is full."""
    units = stack(lambda: RPMUnit(3, 3, 3, history=history, **options))
    frames = clip(3, 3, 4, frames=4)
    assert_made(units[0], 8, **options)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


def test_features_may_be_of_other_channels():
    """In the lowest unit of a stack, where the residual is a convolution."""
    (unit, _), frames = stack(lambda: RPMUnit(2, 3, 3)), clip(2, 4, 3)
    assert_equal(run([unit], frames), run_by_hand(by_hand, [unit], frames))


def test_the_past_is_that_of_frames_not_the_newest_repeated():
    """The temporal memories kept are those that the frames left, in their order."""
    units, frames = stack(lambda: RPMUnit(3, 3, 3, history=3)), clip(3, 3, 4, frames=4)
    seen = run(units, frames)
    newest = [seen[2 * frame][3][:, -3:] for frame in range(4)]
    assert torch.equal(seen[6][3], torch.cat(newest[1:], 1))
    assert not torch.allclose(newest[2], newest[3])


def test_the_stream_keeps_what_the_last_units_left():
    """Across units and frames alike."""
    units, frames = stack(lambda: RPMUnit(3, 3, 3, history=3)), clip(3, 3, 4, frames=2)
    memories = [values[1] for values in run(units, frames)]
    left = [memory[:, -3:] for memory in memories]
    assert torch.equal(memories[0], torch.cat([left[0] * 0, left[0] * 0, left[0]], 1))
    assert torch.equal(memories[3], torch.cat(left[1:], 1))


def test_contradictions_are_refused():
    """No past, and features that cannot be added."""
    with pytest.raises(ConfigError, match="keeps one map at least, not 0"):
        RPMUnit(3, 3, history=0)
    with pytest.raises(ConfigError, match="2 inputs cannot be added to 3 hidden channels"):
        RPMUnit(2, 3, residual="plain")


def test_size_and_work_are_those_of_the_published_table():
    """6.72M and 1.68G: 17 convolutions of 5×5, 128 to 128, and five of 1×1."""
    with torch.device("meta"):
        unit = RPMUnit(128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 17 * 409_600 + 5 * 16_384
    assert parameters(unit) / M == 6.71875
    assert multiply_accumulates(lambda x: unit(x, state)) / G == 1.6796875
