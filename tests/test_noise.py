"""Seeds and noise are pure functions of names."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecast.noise import Noise, mix


def test_mix_is_fixed_for_ever():
    """The same names give the same seed on every machine and in every version."""
    digest = hashlib.blake2b(b"int:1:7str:5:train", digest_size=8).digest()
    assert mix(7, "train") == int.from_bytes(digest) >> 1
    assert mix("a") == 1288196711114981254


@given(st.lists(st.one_of(st.integers(), st.text()), min_size=1, max_size=4))
def test_mix_is_a_seed(parts):
    """Every seed suits a torch generator."""
    assert 0 <= mix(*parts) < 2**63
    torch.Generator().manual_seed(mix(*parts))


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), ((1,), ("1",)), ((1, 2), (2, 1)), ((1,), (1, ""))],
)
def test_mix_tells_names_apart(one, other):
    """Joining, type, order and number of parts all matter."""
    assert mix(*one) != mix(*other)


@pytest.mark.parametrize("number", [np.int64(5), np.uint8(5), torch.tensor(5)])
def test_whole_numbers_of_any_library_are_the_same(number):
    """A seed from an array is the seed that it shows."""
    assert mix(number, "x") == mix(5, "x")
    assert mix(np.str_("x")) == mix("x")
    assert mix(True) == mix(1)


def test_what_is_no_name_is_refused():
    """Equal numbers of other types would silently be other seeds."""
    script = "from framecast.noise import mix; mix(5.0)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "TypeError: 'float' object cannot be interpreted as an integer" in done.stderr


@pytest.mark.parametrize("kind", ["normal", "uniform", "gumbel"])
def test_a_sequence_alone_draws_what_it_draws_in_a_batch(kind):
    """Neither the other sequences nor further samples change what a row draws."""
    batch = getattr(Noise.of(3, [5, 9, 2], samples=4), kind)(2, 3)
    alone = getattr(Noise.of(3, [9], samples=2), kind)(2, 3)
    assert batch.shape == (4, 3, 2, 3)
    assert torch.equal(alone[:, 0], batch[:2, 1])


def test_draws_follow_each_other():
    """A second draw differs from the first, and both come again from the same seed."""
    noise, again = Noise.of(0, [0], 1), Noise.of(0, [0], 1)
    first, second = noise.normal(8), noise.normal(8)
    assert not torch.equal(first, second)
    assert torch.equal(again.normal(8), first)
    assert torch.equal(again.normal(8), second)


def test_distributions():
    """Means and variances of the three kinds of draws."""
    noise, count = Noise.of(1, range(4), 1), 50_000
    normal, uniform, gumbel = noise.normal(count), noise.uniform(count), noise.gumbel(count)
    for draws, mean, variance in (
        (normal, 0, 1),
        (uniform, 0.5, 1 / 12),
        (gumbel, 0.57722, torch.pi**2 / 6),
    ):
        assert draws.mean().item() == pytest.approx(mean, abs=0.01)
        assert draws.var().item() == pytest.approx(variance, rel=0.02)
        assert draws.isfinite().all()
