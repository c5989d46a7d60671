"""What an attention keeps: portion by portion, place by place, against the whole."""

import pytest
import torch

from framecast.layers.attention import HEAD_MULTIPLE, CausalAttention
from framecast.layers.attention_cache import Memory

INPUTS, HEADS = 7, 3


def attention(size: int = 4) -> CausalAttention:
    torch.manual_seed(3)
    return CausalAttention(HEADS * size, HEADS, inputs=INPUTS).double()


@pytest.mark.parametrize("size", [4, HEAD_MULTIPLE, 2 * HEAD_MULTIPLE])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("context", [0, 4])
@torch.no_grad()
def test_portions_and_places_are_those_of_the_whole(samples, context, size):
    """Also where heads have to be filled up with no zeros."""
    layer = attention(size)
    first = torch.randn(2, context, INPUTS, dtype=torch.float64)
    later = torch.randn(2 * samples, 10, INPUTS, dtype=torch.float64)
    whole = layer(torch.cat([first.repeat(samples, 1, 1), later], 1))[:, context:]
    by_place, at_once = (Memory(layer, first, samples) for _ in range(2))
    for portion in (slice(0, 6), slice(6, 10)):
        x, expected = later[:, portion], whole[:, portion]
        by_place.begin(x.shape[1])
        at_once.begin(x.shape[1])
        steps = [by_place.step(k, x[:, k]) for k in range(x.shape[1])]
        torch.testing.assert_close(torch.stack(steps, 1), expected)
        # what comes out does not depend on the guesses before
        guess = x.clone()
        guess[-1, 2:] += 1
        at_once.portion(guess)
        torch.testing.assert_close(at_once.portion(x), expected)


@torch.no_grad()
def test_a_context_is_kept_once_for_all_samples():
    memory = Memory(attention(), torch.zeros(2, 5, INPUTS, dtype=torch.float64), 4)
    assert memory.shared is not None
    assert memory.shared.shape == (2, 2, 3, 4, 5)
    assert memory.own.shape == (2, 8, 3, 4, 0)
    alone = Memory(attention(), torch.zeros(2, 5, INPUTS, dtype=torch.float64), 1)
    assert alone.shared is None
    assert alone.own.shape == (2, 2, 3, 4, 5)
