"""The E3D-LSTM unit against its equations, its attention a scalar at a time."""

import math
from itertools import pairwise

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
from framecast.layers.recurrent.e3d_lstm import E3DLSTMState, E3DLSTMUnit, recollect


def recalled(query, past):
    """softmax(R Pᵀ) P by loops over sequences, positions and channels."""
    found = torch.zeros_like(query)
    for b, (asks, known) in enumerate(zip(query, past, strict=True)):
        keys = [known[:, f, y, x].tolist() for f, y, x in positions(known)]
        for f, y, x in positions(asks):
            ask = asks[:, f, y, x].tolist()
            weights = [math.exp(sum(a * k for a, k in zip(ask, key, strict=True))) for key in keys]
            for channel in range(len(ask)):
                total = sum(w * key[channel] for w, key in zip(weights, keys, strict=True))
                found[b, channel, f, y, x] = total / sum(weights)
    return found


def positions(maps):
    _, depth, height, width = maps.shape
    return [(f, y, x) for f in range(depth) for y in range(height) for x in range(width)]


def by_hand(unit, x, state, memory):
    """The equations of the paper, on volumes; maps of one frame get a depth of 1."""
    n, flat = unit.hidden, x.ndim == 4
    x = x.unsqueeze(2) if flat else x
    zeros = x.new_zeros(len(x), n, *x.shape[2:])
    hidden, cell, past = (zeros, zeros, zeros) if state is None else state
    memory = zeros if memory is None else memory.reshape(zeros.shape)
    ix, rx, gx, ix_, fx_, gx_, ox = one_by_one(unit.from_features, x, n)
    ih, rh, gh, oh = one_by_one(unit.from_hidden, hidden, n)
    im, fm, gm = one_by_one(unit.from_memory, memory, n)
    kept = normalised(unit.recalled, cell + recalled((rx + rh).sigmoid(), past))
    cell = (ix + ih).sigmoid() * (gx + gh).tanh() + kept
    memory = (ix_ + im).sigmoid() * (gx_ + gm).tanh() + (
        fx_ + fm + unit.forget_bias
    ).sigmoid() * memory
    both = torch.cat([cell, memory], 1)
    (seen,), (merged,) = one_by_one(unit.from_new, both, n), one_by_one(unit.merge, both, n)
    hidden = (ox + oh + seen).sigmoid() * merged.tanh()
    if unit.residual is not None:
        hidden = hidden + one_by_one(unit.residual, x, n)[0]
    past = torch.cat([past, cell], 2)
    if unit.history is not None:
        past = past[:, :, -unit.history * x.shape[2] :]
    state = E3DLSTMState(hidden, cell, past)
    return (hidden.squeeze(2), state, memory.squeeze(2)) if flat else (hidden, state, memory)


@pytest.mark.parametrize("options", [*OPTIONS, {"residual": True}])
def test_two_units_over_three_frames_equal_the_equations(options):
    """Outputs, states and the memory on its zigzag, on maps of one frame."""
    units, frames = stack(lambda: E3DLSTMUnit(2, 2, 3, **options)), clip(2, 3, 4)
    assert_made(units[0], 3, **options)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


@pytest.mark.parametrize("options", [{}, {"norm": "layer", "size": (2, 3, 4), "bias": True}])
def test_windows_of_frames(options):
    """Two frames at once: convolutions and recall reach across them."""
    units, frames = stack(lambda: E3DLSTMUnit(2, 2, 3, **options)), clip(2, 2, 3, 4)
    assert_equal(run(units, frames), run_by_hand(by_hand, units, frames))


@pytest.mark.parametrize(("history", "frames_kept"), [(1, 1), (2, 2), (3, 3), (None, 5)])
@pytest.mark.parametrize("depth", [1, 2])
def test_as_many_memories_are_recalled_as_asked_for(history, frames_kept, depth):
    """The last τ; all of them, the zeros before the first frame included, for None."""
    units = stack(lambda: E3DLSTMUnit(2, 2, 3, history=history))
    frames = clip(2, depth, 2, 2, frames=4, batch=1)
    seen = run(units, frames)
    assert_equal(seen, run_by_hand(by_hand, units, frames))
    assert seen[-1][4].shape == (1, 2, frames_kept * depth, 2, 2)


def test_recall_finds_what_it_asks_for():
    """A query far along one of two past vectors gives that one; of equal ones, their mean."""
    past = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 2, 1, 1)
    query = torch.tensor([100.0, 0.0]).reshape(1, 2, 1, 1, 1)
    torch.testing.assert_close(recollect(query, past).flatten(), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(recollect(query * 0, past).flatten(), torch.tensor([0.5, 0.5]))


def test_the_memory_goes_on_renewed():
    """What a unit gives is not what it took, from the first frame on."""
    units, frames = stack(lambda: E3DLSTMUnit(2, 2, 3)), clip(2, 3, 4, frames=2)
    memories = [values[1] for values in run(units, frames)]
    assert all(memory.abs().min() > 0 for memory in memories)
    for memory, following in pairwise(memories):
        assert not torch.allclose(memory, following)


def test_the_past_is_kept_as_it_is_attended_to():
    """Channels last, frame after frame, for whatever comes first."""
    units, frames = stack(lambda: E3DLSTMUnit(2, 2, 3, history=2)), clip(2, 3, 4, frames=4)
    for values in run(units, frames):
        assert values[4].flatten(2).transpose(1, 2).stride(2) == 1


def test_nothing_to_recall_is_refused():
    """A past of no memory."""
    with pytest.raises(ConfigError, match="one memory at least is recalled, not 0"):
        E3DLSTMUnit(2, 2, history=0)


@pytest.mark.parametrize(("residual", "published"), [(False, 18.78), (True, 18.80)])
def test_size_and_work_beside_the_published_table(residual, published):
    """18.80M and 4.70G: sixteen of (3, 5, 5), three of 1; the paper's equations have two of 1.

    The work is what is left of it without the zeros around one frame, and the recall.
    """
    with torch.device("meta"):
        unit = E3DLSTMUnit(128, 128, residual=residual)
        state = unit.initial(torch.zeros(MAP))
    ones = 3 if residual else 2
    assert parameters(unit) == 16 * 3 * 409_600 + ones * 16_384
    assert round(parameters(unit) / M, 2) == published
    assert round(parameters(unit) * 256 / G, 2) == 4.70
    convolutions, recall = (16 * 409_600 + ones * 16_384) * 256, 2 * 256 * 256 * 128
    assert multiply_accumulates(lambda x: unit(x, state)) == convolutions + recall
