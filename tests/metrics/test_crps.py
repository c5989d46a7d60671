"""CRPS of samples, against every pair by itself and against the normal distribution's formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Normal

from framecast.errors import FramecastError
from framecast.evaluation.metrics.crps import Estimator, crps, distances


def every_pair(samples: list[float], truth: float, estimator: Estimator) -> float:
    number = len(samples)
    away = sum(abs(x - truth) for x in samples) / number
    apart = sum(abs(x - other) for x in samples for other in samples)
    pairs = number**2 if estimator == "plain" else number * (number - 1)
    return away - apart / pairs / 2


def of_normal(mean: float, deviation: float, truth: Tensor) -> Tensor:
    """Gneiting & Raftery (2007), equation 22, with the sign of a loss."""
    z = (truth - mean) / deviation
    standard = Normal(0.0, 1.0)
    density = standard.log_prob(z).exp()
    return deviation * (z * (2 * standard.cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.7, 1.0]) | st.floats(0, 1, width=32), min_size=2),
    st.floats(0, 1, width=32),
    st.sampled_from(["fair", "plain"]),
)
def test_every_pair_of_samples(samples: list[float], truth: float, estimator: Estimator) -> None:
    found = crps(torch.tensor(samples), torch.tensor(truth), estimator=estimator)
    assert found.item() == pytest.approx(every_pair(samples, truth, estimator), abs=1e-6)


def test_any_shape_is_scored_value_by_value() -> None:
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(7, 2, 3, generator=random)
    truth = torch.rand(2, 3, generator=random)
    found = crps(samples, truth, estimator="fair")
    for row in range(2):
        for column in range(3):
            expected = every_pair(
                samples[:, row, column].tolist(), truth[row, column].item(), "fair"
            )
            assert found[row, column].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("estimator", ["fair", "plain"])
def test_many_normal_samples_reach_the_formula(estimator: Estimator) -> None:
    random = torch.Generator().manual_seed(1)
    samples = 0.4 + 0.2 * torch.randn(200_000, 1, generator=random).expand(-1, 5)
    truth = torch.tensor([-0.3, 0.2, 0.4, 0.5, 1.2])
    found = crps(samples, truth, estimator=estimator)
    torch.testing.assert_close(found.float(), of_normal(0.4, 0.2, truth), atol=2e-3, rtol=0)


def test_of_few_samples_only_the_fair_estimator_is_unbiased() -> None:
    """Of 3 samples, plain is too large by E|X − X′| / 6 = σ / (3 √π)."""
    random = torch.Generator().manual_seed(2)
    samples, truth = torch.randn(3, 200_000, generator=random), torch.tensor(0.5)
    expected = of_normal(0.0, 1.0, truth).item()
    fair, plain = (
        crps(samples, truth.expand(200_000), estimator=each).mean().item()
        for each in ("fair", "plain")
    )
    assert fair == pytest.approx(expected, abs=5e-3)
    assert plain == pytest.approx(expected + 1 / (3 * math.sqrt(math.pi)), abs=5e-3)


def test_a_single_sample_has_its_absolute_error_and_no_fair_score() -> None:
    one, truth = torch.tensor([[0.2, 0.9]]), torch.tensor([0.5, 0.5])
    torch.testing.assert_close(crps(one, truth, estimator="plain").float(), (one[0] - truth).abs())
    with pytest.raises(FramecastError, match="2 samples"):
        crps(one, truth, estimator="fair")


def test_equal_samples_are_not_apart_at_all() -> None:
    found = distances(torch.full((9, 4), 0.3), torch.zeros(4))
    assert (found.apart == 0).all()
