"""Orders against their definition, position by position, and through real loaders."""

import pickle
from itertools import chain, islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from framecast.clip import collate
from framecast.data.moving_digits import MovingDigits
from framecast.data.order import Order, Sequential
from framecast.errors import ConfigError

orders = st.tuples(st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**40), st.integers(1, 4))


def first(order, steps):
    return list(islice(order, steps))


def joined(lists):
    return list(chain.from_iterable(lists))


@given(orders, st.integers(0, 50))
def test_ranks_joined_are_the_step_of_one_process(numbers, step):
    length, share, seed, world = numbers
    parts = [
        Order(length, share * world, seed, rank=r, world=world).step(step) for r in range(world)
    ]
    assert all(len(part) == share for part in parts)
    assert joined(parts) == Order(length, share * world, seed).step(step)


@given(orders, st.integers(0, 40))
def test_a_later_start_gives_the_later_steps(numbers, start):
    length, batch, seed, _ = numbers
    whole = first(Order(length, batch, seed), start + 5)
    assert first(Order(length, batch, seed, start=start), 5) == whole[start:]


@given(orders)
def test_epochs_are_permutations_that_follow_without_a_gap(numbers):
    length, batch, seed, _ = numbers
    keys = joined(first(Order(length, batch, seed), 4 * length))
    assert [epoch for epoch, _ in keys] == [p // length for p in range(4 * length * batch)]
    for epoch in range(4):
        assert sorted(i for e, i in keys if e == epoch) == list(range(length))


def test_steps_can_be_asked_for_in_any_order():
    order = Order(7, 5, 0)
    forwards = [order.step(k) for k in range(12)]
    assert [order.step(k) for k in reversed(range(12))] == forwards[::-1]


def test_epochs_and_seeds_are_shuffled_differently():
    def epoch_of(seed, epoch):
        return tuple(i for _, i in Order(20, 20, seed).step(epoch))

    assert len({epoch_of(seed, epoch) for seed in range(3) for epoch in range(3)}) == 9
    assert epoch_of(0, 0) != tuple(range(20))


def test_a_used_order_pickles_and_goes_on_alike():
    order = Order(1000, 4, 0)
    expected = order.step(3)
    copy = pickle.loads(pickle.dumps(order))
    assert len(pickle.dumps(order)) < 500
    assert copy.step(3) == expected


def test_an_order_is_the_same_on_every_machine():
    assert [i for _, i in Order(10, 10, 0).step(0)] == [6, 9, 8, 2, 0, 7, 4, 3, 1, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 0}, "source is empty"),
        ({"batch": 0}, "use 1 or more"),
        ({"batch": 5, "world": 2}, "multiple of 2"),
        ({"rank": 2, "world": 2}, "rank 2"),
        ({"start": -1}, "cannot be negative"),
    ],
)
def test_orders_that_cannot_be(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Order(**{"length": 10, "batch": 4, "seed": 0} | arguments)


def test_loader_processes_give_what_none_give():
    source = MovingDigits(digits="glyphs", fixed_train=False, train_size=10).source("train", 3, 0)

    def batches(workers):
        order = Order(len(source), 4, seed=1, start=2)
        loader = DataLoader(source, batch_sampler=order, collate_fn=collate, num_workers=workers)
        return [batch.frames for batch in islice(loader, 4)]

    alone, together = batches(0), batches(2)
    assert alone[0].shape == (4, 3, 1, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    expected = [source[key].frames for key in Order(len(source), 4, seed=1).step(2)]
    assert torch.equal(alone[0], torch.stack(expected))


@given(st.integers(1, 40), st.integers(1, 9), st.none() | st.integers(1, 50), st.integers(1, 5))
def test_sequential_ranks_joined_are_all_items_in_order(length, batch, limit, world):
    parts = [Sequential(length, batch, limit, rank, world) for rank in range(world)]
    batches = [list(part) for part in parts]
    assert [len(part) for part in parts] == [len(b) for b in batches]
    assert all(len(b) == batch for part in batches for b in part[:-1])
    assert all(1 <= len(b) <= batch for part in batches for b in part)
    expected = length if limit is None else min(length, limit)
    assert joined(joined(batches)) == [(0, i) for i in range(expected)]
    counts = [len(part.indices) for part in parts]
    assert max(counts) - min(counts) <= 1


def test_a_limit_that_leaves_nothing():
    with pytest.raises(ConfigError, match="leaves nothing"):
        Sequential(10, 2, 0)
