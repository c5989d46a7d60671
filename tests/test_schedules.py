"""Values over steps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecast.errors import ConfigError
from framecast.schedules import Schedule, constant, one_cycle
from framecast.stage import OptimizerConfig


def test_linear():
    """A straight line between begin and begin + steps, flat outside."""
    schedule = Schedule(1.0, 0.0, begin=10, steps=4)
    assert [schedule(k, 100) for k in (0, 10, 11, 12, 14, 99)] == [1, 1, 0.75, 0.5, 0, 0]


def test_shapes():
    """Half-way values of the other shapes, and a jump."""
    assert Schedule(1.0, 0.0, steps=10, shape="cosine")(5, 10) == pytest.approx(0.5)
    assert Schedule(1.0, 0.0, steps=4, shape="cosine")(1, 10) == pytest.approx((1 + 2**-0.5) / 2)
    assert Schedule(1.0, 0.01, steps=10, shape="exponential")(5, 10) == pytest.approx(0.1)
    assert [Schedule(1.0, 2.0, begin=3)(k, 10) for k in (2, 3)] == [1, 2]
    assert constant(0.3)(7, 10) == 0.3


@given(
    st.sampled_from(["linear", "cosine", "exponential", "one-cycle"]),
    st.floats(0.01, 10),
    st.floats(0.01, 10),
    st.integers(0, 50),
    st.one_of(st.none(), st.integers(0, 50)),
    st.integers(0, 200),
)
def test_stays_between_its_ends(shape, start, end, begin, steps, step):
    """No shape overshoots."""
    value = Schedule(start, end, begin, steps, shape)(step, 200)
    ends = (start, end, 1.0) if shape == "one-cycle" else (start, end)
    assert min(ends) - 1e-9 <= value <= max(ends) + 1e-9


def test_to_the_end_of_the_stage():
    """Without a number of steps, the change ends where the stage does."""
    schedule = Schedule(1.0, 0.0, begin=10, steps=None)
    assert [schedule(k, 20) for k in (5, 10, 15, 20)] == [1, 1, 0.5, 0]
    assert [schedule(k, 30) for k in (10, 15, 20)] == [1, 0.75, 0.5]


def test_one_cycle_is_pytorchs():
    """Whose ends lie one step before, each."""
    total = 2_000
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    peer = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total)
    for step in range(total):
        assert one_cycle()(step, total) == pytest.approx(peer.get_last_lr()[0], abs=3e-3)
        optimizer.step()
        if step + 1 < total:
            peer.step()
    values = [one_cycle()(step, 100) for step in range(100)]
    assert values[0] == pytest.approx(0.04)
    assert values[30] == 1 == max(values)
    assert values[99] < 1e-3
    assert one_cycle()(100, 100) == pytest.approx(4e-6)


@given(
    st.sampled_from(["linear", "cosine", "one-cycle"]),
    st.none() | st.integers(0, 30),
    st.integers(0, 20),
    st.integers(2, 5),
)
def test_a_longer_stage_has_the_same_course(shape, steps, begin, factor):
    """Every value is where it was, as a part of the stage."""
    schedule = Schedule(1.0, 0.5, begin=begin, steps=steps, shape=shape)
    longer = schedule.stretched(float(factor))
    for step in range(60):
        assert longer(step * factor, 50 * factor) == pytest.approx(schedule(step, 50))


def test_a_longer_stage_warms_up_longer():
    """The optimizer's schedules are stretched, too; what has no length stays."""
    optimizer = OptimizerConfig(learning_rate=2.0, warmup=3, schedule=Schedule(1.0, 0.5, begin=10))
    longer = optimizer.stretched(2.5)
    assert (longer.learning_rate, longer.warmup, longer.schedule.begin) == (2.0, 8, 25)
    assert longer.schedule.steps == 0


def test_contradictions():
    """Negative steps and an exponential to zero are refused."""
    with pytest.raises(ConfigError, match="0 or more"):
        Schedule(steps=-1)
    with pytest.raises(ConfigError, match="above 0"):
        Schedule(1.0, 0.0, shape="exponential")


def test_learning_rate():
    """Warm-up and schedule multiply."""
    optimizer = OptimizerConfig(learning_rate=2.0, warmup=3, schedule=Schedule(1.0, 0.5, begin=10))
    rates = [optimizer.rate(k, 100) for k in (0, 1, 2, 3, 9, 10)]
    assert rates == [0.5, 1.0, 1.5, 2.0, 2.0, 1.0]


@pytest.mark.parametrize(
    "fields",
    [
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"betas": (0.9, 1.0)},
        {"eps": 0.0},
        {"warmup": -1},
        {"weight_decay": -0.1},
        {"clip_norm": 0.0},
    ],
)
def test_optimizers_have_ranges(fields):
    """Numbers that train nothing are refused, with the field's name."""
    with pytest.raises(ConfigError, match=next(iter(fields))):
        OptimizerConfig(**fields)
