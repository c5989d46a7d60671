"""Values over steps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecast.errors import ConfigError
from framecast.schedules import Schedule, constant
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
    st.sampled_from(["linear", "cosine", "exponential"]),
    st.floats(0.01, 10),
    st.floats(0.01, 10),
    st.integers(0, 50),
    st.one_of(st.none(), st.integers(0, 50)),
    st.integers(0, 200),
)
def test_stays_between_its_ends(shape, start, end, begin, steps, step):
    """No shape overshoots."""
    value = Schedule(start, end, begin, steps, shape)(step, 200)
    assert min(start, end) - 1e-9 <= value <= max(start, end) + 1e-9


def test_to_the_end_of_the_stage():
    """Without a number of steps, the change ends where the stage does."""
    schedule = Schedule(1.0, 0.0, begin=10, steps=None)
    assert [schedule(k, 20) for k in (5, 10, 15, 20)] == [1, 1, 0.5, 0]
    assert [schedule(k, 30) for k in (10, 15, 20)] == [1, 0.75, 0.5]


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
