"""Streaming moments against numpy, the bootstrap against enumeration and theory."""

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from framecast.errors import FramecastError
from framecast.evaluation import statistics
from framecast.evaluation.statistics import (
    Accumulator,
    Moments,
    bootstrap,
    holm,
    paired_bootstrap,
    student,
)
from framecast.noise import mix


def scores(count: int, steps: int = 3, offset: float = 0.0) -> np.ndarray:
    return np.random.default_rng(0).normal(offset, 1, (count, steps))


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.sampled_from([0.0, 1e6]))
def test_any_portions_give_numpys_moments(sizes: list[int], offset: float) -> None:
    values = scores(sum(sizes), offset=offset)
    cuts = list(itertools.accumulate(sizes))[:-1]
    parts = np.split(values, cuts)
    moments = Moments.of(parts[0])
    for part in parts[1:]:
        moments = moments.add(part)
    backwards = Moments.of(parts[-1])
    for part in parts[-2::-1]:
        backwards = Moments.of(part).merge(backwards)
    for found in (moments, backwards):
        assert found.count == len(values)
        np.testing.assert_allclose(found.mean, values.mean(0), rtol=1e-13)
        np.testing.assert_allclose(
            found.squares, ((values - values.mean(0)) ** 2).sum(0), rtol=1e-7, atol=1e-8
        )


def test_interval_is_students() -> None:
    values = scores(50)
    summary = Moments.of(values).summary()
    error = values.std(0, ddof=1) / math.sqrt(50)
    np.testing.assert_allclose(summary.deviation, values.std(0, ddof=1))
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(0), error)
    np.testing.assert_allclose(summary.low, low)
    np.testing.assert_allclose(summary.high, high)
    wide = Moments.of(values).summary(level=0.99)
    np.testing.assert_allclose(wide.high - wide.mean, stats.t.ppf(0.995, 49) * error)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 31, 999, 10_000])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_students_t_is_scipys(freedom: int, level: float) -> None:
    assert student(freedom, level) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


@pytest.mark.parametrize("count", [3, 5, 40])
def test_interval_covers_as_often_as_it_says(count: int) -> None:
    draws = np.random.default_rng(1).normal(3, 2, (count, 4000))  # 4,000 experiments side by side
    summary = Moments.of(draws).summary()
    covered = ((summary.low <= 3) & (summary.high >= 3)).mean()
    assert 0.94 < covered < 0.96


def test_one_sequence_has_no_interval() -> None:
    summary = Moments.of(scores(1)).summary()
    assert np.isnan(summary.deviation).all()
    assert np.isnan(summary.low).all()
    np.testing.assert_array_equal(summary.mean, scores(1)[0])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_infinite_value_makes_its_step_infinite_alone(order: tuple[int, int]) -> None:
    parts = [scores(4), scores(5)]
    parts[0][2, 1] = np.inf
    moments = Moments.of(parts[order[0]]).add(parts[order[1]])
    summary = moments.summary()
    assert summary.mean[1] == np.inf
    assert np.isfinite(summary.mean[[0, 2]]).all()
    assert np.isnan(summary.deviation[1])
    assert np.isfinite(summary.low[[0, 2]]).all()


def test_accumulators_by_key_and_process() -> None:
    first, second, both = Accumulator(), Accumulator(), Accumulator()
    values = {"psnr": scores(6), "ssim": scores(6, offset=5)}
    for accumulator, rows in ((first, slice(0, 2)), (second, slice(2, 6))):
        part = {key: value[rows].astype(np.float32) for key, value in values.items()}
        accumulator.add(part)
        both.add(part)
    first.merge(second)
    assert [key for key, _ in first] == ["psnr", "ssim"]
    for key, summary in first.summaries().items():
        assert summary.count == 6
        assert summary.mean.dtype == np.float64
        np.testing.assert_allclose(summary.mean, values[key].mean(0), rtol=1e-6)
        np.testing.assert_allclose(summary.high, both.summaries()[key].high)
    with pytest.raises(FramecastError, match="3 and 2 time steps"):
        first.add({"psnr": scores(1, steps=2)})


def test_no_values_change_nothing() -> None:
    moments = Moments.of(scores(2))
    assert moments.add(scores(0)) is moments
    accumulator = Accumulator()
    accumulator.add({"psnr": scores(0)})
    assert accumulator.summaries() == {}


def test_bootstrap_matches_all_resamples() -> None:
    first, second = np.array([1.0, 5.0, 2.5, 7.0]), np.array([1.5, 3.0, 2.0, 7.5])
    differences = first - second
    means = np.array([np.mean(x) for x in itertools.product(differences, repeat=4)])
    found = paired_bootstrap(first, second, seed=3, resamples=40_000)
    assert found.difference == pytest.approx(differences.mean())
    assert (found.sequences, found.resamples) == (4, 40_000)
    share = (means > 0).mean() + 0.5 * (means == 0).mean()
    assert found.share == pytest.approx(share, abs=0.01)
    tail = stats.norm.sf(stats.t.isf(0.025, 3) * math.sqrt(4 / 3))
    low, high = np.quantile(means, [tail, 1 - tail])
    assert found.low == pytest.approx(low, abs=0.13)  # the means lie 1/8 apart
    assert found.high == pytest.approx(high, abs=0.13)


def test_bootstrap_of_many_sequences_is_the_normal_interval() -> None:
    values = scores(400, steps=2, offset=1)
    common = 100 * np.random.default_rng(2).normal(size=400)  # what both find equally hard
    first, second = values[:, 0] + common, values[:, 1] * 0.5 + common
    found = paired_bootstrap(first, second, seed=0)
    expected = Moments.of((first - second)[:, None]).summary()
    assert found.low == pytest.approx(expected.low[0], abs=0.01)
    assert found.high == pytest.approx(expected.high[0], abs=0.01)
    swapped = paired_bootstrap(second, first, seed=0)
    assert swapped.difference == pytest.approx(-found.difference)
    assert swapped.share == pytest.approx(1 - found.share)
    narrow = paired_bootstrap(first, second, seed=0, level=0.5)
    assert found.low < narrow.low < narrow.high < found.high


def test_bootstrap_is_a_function_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = scores(30, steps=2).T
    found = paired_bootstrap(first, second, seed=5, resamples=501)
    assert paired_bootstrap(first, second, seed=5, resamples=501) == found
    assert paired_bootstrap(first, second, seed=6, resamples=501) != found
    monkeypatch.setattr(statistics, "PORTION", 100)
    portions = paired_bootstrap(first, second, seed=5, resamples=501)
    assert asdict(portions) == pytest.approx(asdict(found), rel=1e-12)


def test_equal_methods_are_tied() -> None:
    found = paired_bootstrap(np.ones(5), np.ones(5), seed=0, resamples=100)
    assert (found.difference, found.low, found.high, found.share) == (0, 0, 0, 0.5)
    assert found.p == 1


def test_columns_share_their_resamples() -> None:
    """Each column is what it is alone, and differences of columns hang together."""
    values = scores(25, steps=3)
    together = bootstrap(values, seed=4, resamples=700)
    for column, found in zip(values.T, together, strict=True):
        alone = paired_bootstrap(column, np.zeros(25), seed=4, resamples=700)
        assert asdict(found) == pytest.approx(asdict(alone), rel=1e-12)
    draws = np.random.default_rng(mix(4, "paired bootstrap")).integers(25, size=(700, 25))
    means = values[draws].mean(1)  # resample by resample
    tail = stats.norm.sf(stats.t.isf(0.025, 24) * math.sqrt(25 / 24))
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    np.testing.assert_allclose([found.low for found in together], low, rtol=1e-12)
    np.testing.assert_allclose([found.high for found in together], high, rtol=1e-12)


def test_p_values_are_those_of_intervals_that_end_at_zero() -> None:
    first, second = scores(30, steps=2, offset=0).T
    found = paired_bootstrap(first, second, seed=2, resamples=9_999)
    edge = paired_bootstrap(first, second, seed=2, resamples=9_999, level=1 - found.p)
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=2e-3)
    assert paired_bootstrap(second, first, seed=2, resamples=9_999).p == pytest.approx(found.p)


def test_p_values_are_those_of_changed_signs() -> None:
    """Against the permutation test of pairs: the sign of every difference is a coin's."""
    draw = np.random.default_rng(7)
    for shift in (0.0, 0.15, 0.35):
        differences = draw.normal(shift, 1, size=120)
        signs = draw.choice([-1.0, 1.0], size=(20_000, 120))
        permuted = np.abs(signs @ differences / 120) >= abs(differences.mean())
        found = paired_bootstrap(differences, np.zeros(120), seed=1, resamples=20_000)
        assert found.p == pytest.approx(permuted.mean(), abs=0.025)


def test_no_number_of_resamples_excludes_anything() -> None:
    found = paired_bootstrap(np.arange(20.0) + 5, np.zeros(20), seed=0, resamples=999)
    assert found.share == 1
    score = stats.norm.isf(1 / 1000) * math.sqrt(19 / 20)
    assert found.p == pytest.approx(2 * stats.t.sf(score, 19))


@pytest.mark.parametrize("count", [10, 24])
def test_few_sequences_do_not_make_differences_of_nothing(count: int) -> None:
    """Where nothing differs, 5 % of the tests say so, give or take; quantiles as they are: 9 %."""
    nothing = np.random.default_rng(count).normal(size=(count, 1_500))
    found = bootstrap(nothing, seed=0, resamples=2_000)
    assert np.mean([each.p < 0.05 for each in found]) == pytest.approx(0.05, abs=0.017)
    assert np.mean([not each.low <= 0 <= each.high for each in found]) < 0.07


def test_one_sequence_tells_nothing() -> None:
    found = paired_bootstrap(np.array([3.0]), np.array([1.0]), seed=0)
    assert (found.difference, found.low, found.high, found.p) == (2, -math.inf, math.inf, 1)


def test_intervals_cover_and_true_hypotheses_are_kept() -> None:
    """In 95 % of many experiments, give or take the simulation's own deviation."""
    experiments = 600
    draw = np.random.default_rng(3)
    skewed = draw.exponential(size=(60, experiments)) - draw.exponential(size=(60, experiments))
    found = bootstrap(skewed + 0.3, seed=0, resamples=2_000)
    covered = np.mean([each.low <= 0.3 <= each.high for each in found])
    assert covered == pytest.approx(0.945, abs=0.025)
    kept = np.mean([each.p > 0.05 for each in bootstrap(skewed, seed=0, resamples=2_000)])
    assert kept == pytest.approx(0.945, abs=0.025)


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9, 0.6]) == [1, 1, 1]


def test_holm_keeps_the_rate_of_families() -> None:
    """Of true hypotheses, 5 % of families have a p-value below 5 %, unlike unadjusted ones."""
    p = np.random.default_rng(0).random((4_000, 6))
    assert np.mean([min(holm(list(row))) < 0.05 for row in p]) == pytest.approx(0.05, abs=0.011)
    assert np.mean(p.min(1) < 0.05) > 0.2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_steps_down(p: list[float]) -> None:
    """Hypotheses are rejected one after the other, and none after the first that is kept."""
    rejected: set[int] = set()
    for index in sorted(range(len(p)), key=p.__getitem__):
        if p[index] * (len(p) - len(rejected)) >= 0.05:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(holm(p)) if value < 0.05} == rejected


def test_scores_that_cannot_be_paired_are_one_line() -> None:
    unchecked = getattr(paired_bootstrap, "__wrapped__", paired_bootstrap)
    with pytest.raises(FramecastError, match="3 and 2 sequences"):
        unchecked(np.ones(3), np.ones(2), seed=0)
    with pytest.raises(FramecastError, match="at least one"):
        paired_bootstrap(np.ones(0), np.ones(0), seed=0)
    infinite = np.array([1.0, np.inf])
    for other in (np.ones(2), infinite):
        with pytest.raises(FramecastError, match="not finite"):
            paired_bootstrap(infinite, other, seed=0)
