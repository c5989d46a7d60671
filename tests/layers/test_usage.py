"""Counts of codewords in use, against loops and formulas."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Alone
from trees import assigned, tree_of, vectors_of

from framecast.layers.codebooks import table
from framecast.layers.usage import Usage, slots
from framecast.tokens import perplexity

ALONE = Alone()


def test_each_codeword_of_the_tree_has_a_slot_of_its_own() -> None:
    tree = tree_of(3, 4, 2)
    paths = tree.paths(torch.arange(64))
    found = slots(paths, 4)
    assert torch.equal(found.unique(), torch.arange(4 + 16 + 64))
    assert torch.equal(table(tree).flatten(0, 1)[found], tree.lookup(paths))
    # the codewords below one another: a codeword's codebook follows from its parent's slot
    assert torch.equal(found[:, 1:] // 4, found[:, :-1] + 1)


def test_usage_is_a_moving_average_of_counts() -> None:
    tree = tree_of(2, 3, 2)
    usage = Usage(tree, 0.9)
    expected: dict[tuple[int, int, int], float] = {}
    for seed in range(4):
        vectors = vectors_of(30, 2, seed)
        usage.update(tree(vectors).indices, ALONE)
        seen = assigned(tree, vectors)
        for key in {*expected, *seen}:
            expected[key] = 0.9 * expected.get(key, 0.0) + 0.1 * len(seen.get(key, []))
    first, second = usage.counts.split([1, 3])
    for layer, counts in enumerate((first, second)):
        for parent, row in enumerate(counts.tolist()):
            for k, value in enumerate(row):
                assert value == pytest.approx(expected.get((layer, parent, k), 0.0), rel=1e-5)
    assert list(usage.state_dict()) == ["counts"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=12))
def test_perplexity_is_the_exponential_of_the_entropy(counts: list[int]) -> None:
    total = sum(counts)
    entropy = -sum(n / total * math.log(n / total) for n in counts if n)
    found = float(perplexity(torch.tensor(counts, dtype=torch.float32)))
    assert found == pytest.approx(math.exp(entropy), rel=1e-4)


def test_perplexity_and_use_of_each_layer() -> None:
    tree = tree_of(2, 4, 2)
    usage = Usage(tree, 0.0)
    assert usage.perplexity().tolist() == [1.0, 1.0]
    assert usage.used(0.01).tolist() == [0.0, 0.0]
    every = tree.paths(torch.arange(16))
    usage.update(every, ALONE)
    assert usage.perplexity().tolist() == pytest.approx([4, 16])
    assert usage.used(0.01).tolist() == [1.0, 1.0]
    # 0 of the first layer 2,400 times, 1 and one of its children eight times, the rest never
    rare = torch.tensor([[1, 2]]).expand(8, 2)
    usage.update(torch.cat([every[:4].repeat(600, 1), rare]), ALONE)
    assert usage.used(0.01).tolist() == [0.5, 5 / 16]
    assert usage.used(0.02).tolist() == [0.25, 5 / 16]
    assert usage.used(0.06).tolist() == [0.25, 0.25]


def test_dead_is_what_takes_too_little_of_its_own_codebook() -> None:
    usage = Usage(tree_of(2, 2, 1), 0.5)
    usage.counts.copy_(torch.tensor([[99.0, 1.0], [98.0, 1.0], [0.0, 0.0]]))
    assert usage.dead(0.1).tolist() == [[False, True], [False, True], [False, False]]
    assert usage.dead(0.02).tolist() == [[False, False], [False, False], [False, False]]
