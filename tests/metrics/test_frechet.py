"""Fréchet distances, against closed forms and against roots that are computed otherwise."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import linalg

from framecast.errors import FramecastError
from framecast.evaluation.metrics.frechet import (
    FOLDS,
    FeatureMoments,
    FoldedMoments,
    frechet_distance,
    gaussian_distance,
    root,
)


def random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def rotation(size: int, seed: int) -> np.ndarray:
    return np.linalg.qr(random(seed).normal(size=(size, size)))[0]


def covariance(size: int, seed: int, smallest: float = 0.1) -> np.ndarray:
    turn = rotation(size, seed)
    return turn @ np.diag(random(seed + 1).uniform(smallest, 2, size)) @ turn.T


def by_sqrtm(m1: np.ndarray, s1: np.ndarray, m2: np.ndarray, s2: np.ndarray) -> float:
    """The formula as it is printed."""
    return float(((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real))


def by_features(one: np.ndarray, two: np.ndarray) -> float:
    """From the features themselves: the root's trace is a nuclear norm of their products."""
    a = (one - one.mean(0)) / math.sqrt(len(one) - 1)
    b = (two - two.mean(0)) / math.sqrt(len(two) - 1)
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    apart = ((one.mean(0) - two.mean(0)) ** 2).sum()
    return float(apart + (a * a).sum() + (b * b).sum() - 2 * cross)


class TestGaussians:
    """What the distance of two Gaussians is."""

    def test_in_one_dimension(self):
        found = gaussian_distance(
            np.array([1.0]), np.array([[4.0]]), np.array([4.0]), np.array([[0.25]])
        )
        assert found == pytest.approx(3**2 + (2 - 0.5) ** 2, rel=1e-14)

    def test_of_equal_ones_is_nothing_at_any_scale(self):
        for scale in (1e-12, 1.0, 1e12):
            sigma = covariance(40, 3) * scale
            mean = random(1).normal(size=40)
            assert 0 <= gaussian_distance(mean, sigma, mean, sigma) < 1e-26 * scale

    def test_of_covariances_that_commute_is_that_of_their_eigenvalues(self):
        turn, rng = rotation(30, 0), random(5)
        one, two = rng.uniform(0, 3, 30), rng.uniform(0, 3, 30)
        one[:4], two[2:7] = 0, 0
        mean = rng.normal(size=(2, 30))
        found = gaussian_distance(
            mean[0], turn @ np.diag(one) @ turn.T, mean[1], turn @ np.diag(two) @ turn.T
        )
        expected = ((mean[0] - mean[1]) ** 2).sum() + ((one**0.5 - two**0.5) ** 2).sum()
        assert found == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize("seed", range(6))
    def test_equals_the_printed_formula(self, seed: int):
        rng = random(seed)
        size = 5 + 7 * seed
        gaussians = (
            rng.normal(size=size),
            covariance(size, 10 + seed),
            rng.normal(size=size),
            covariance(size, 50 + seed),
        )
        assert gaussian_distance(*gaussians) == pytest.approx(by_sqrtm(*gaussians), rel=1e-10)

    def test_small_differences_are_not_lost_among_large_traces(self):
        turn, steps = rotation(20, 2), np.linspace(1, 2, 20)
        near = steps * (1 + 1e-9)
        zero = np.zeros(20)
        found = gaussian_distance(
            zero, turn @ np.diag(steps**2) @ turn.T, zero, turn @ np.diag(near**2) @ turn.T
        )
        assert found == pytest.approx((steps**2).sum() * 1e-18, rel=1e-4)

    def test_of_orthogonal_planes_adds_their_traces(self):
        turn = rotation(60, 8)
        one, two = np.zeros(60), np.zeros(60)
        one[:20], two[20:50] = 3.0, 5.0
        zero = np.zeros(60)
        found = gaussian_distance(
            zero, turn @ np.diag(one) @ turn.T, zero, turn @ np.diag(two) @ turn.T
        )
        assert found == pytest.approx(one.sum() + two.sum(), rel=1e-12)

    def test_a_wide_range_of_eigenvalues_agrees_with_fifty_digits(self):
        one = covariance(6, 1) * 1.0
        scales = np.diag(10.0 ** -np.arange(6))
        two = scales @ covariance(6, 9) @ scales
        zero = np.zeros(6)
        with mpmath.workdps(50):
            a, b = mpmath.matrix(one.tolist()), mpmath.matrix(two.tolist())
            values = mpmath.eig(a * b, left=False, right=False)
            expected = sum(a[i, i] + b[i, i] for i in range(6)) - 2 * sum(
                mpmath.sqrt(mpmath.re(value)) for value in values
            )
        assert gaussian_distance(zero, one, zero, two) == pytest.approx(float(expected), rel=1e-11)

    def test_rounding_that_makes_an_eigenvalue_negative_does_no_harm(self):
        flat = np.diag([1.0, -1e-17, -1e-17])
        zero = np.zeros(3)
        assert gaussian_distance(zero, flat, zero, np.zeros((3, 3))) == pytest.approx(1, rel=1e-14)
        assert gaussian_distance(zero, np.zeros((3, 3)), zero, np.zeros((3, 3))) == 0

    @given(st.integers(0, 2**32), st.integers(1, 8))
    @settings(max_examples=40, deadline=None)
    def test_is_a_squared_metric(self, seed: int, size: int):
        rng = random(seed)
        factors = rng.normal(size=(3, size, size))
        means = rng.normal(size=(3, size))

        def apart(i: int, j: int) -> float:
            sigmas = [f @ f.T for f in factors]
            return math.sqrt(gaussian_distance(means[i], sigmas[i], means[j], sigmas[j]))

        assert apart(0, 1) == pytest.approx(apart(1, 0), rel=1e-9)
        assert apart(0, 2) <= apart(0, 1) + apart(1, 2) + 1e-9

    @given(st.integers(0, 2**32))
    @settings(max_examples=20, deadline=None)
    def test_turning_and_moving_both_changes_nothing_and_scaling_squares(self, seed: int):
        rng = random(seed)
        means, sigmas = rng.normal(size=(2, 5)), [covariance(5, seed % 1000 + k) for k in (0, 3)]
        turn, move = rotation(5, seed % 997), rng.normal(size=5)
        plain = gaussian_distance(means[0], sigmas[0], means[1], sigmas[1])
        turned = gaussian_distance(
            turn @ means[0] + move,
            turn @ sigmas[0] @ turn.T,
            turn @ means[1] + move,
            turn @ sigmas[1] @ turn.T,
        )
        scaled = gaussian_distance(3 * means[0], 9 * sigmas[0], 3 * means[1], 9 * sigmas[1])
        assert turned == pytest.approx(plain, rel=1e-10)
        assert scaled == pytest.approx(9 * plain, rel=1e-10)


class TestRoot:
    """Roots of covariances."""

    def test_gives_the_covariance_back(self):
        sigma = covariance(50, 4)
        half = root(sigma)
        assert_allclose(half @ half.T, sigma, atol=1e-14)

    def test_has_no_more_columns_than_the_rank(self):
        points = random(0).normal(size=(9, 64))
        half = root(np.cov(points.T))
        assert (np.abs(half).sum(0) > 0).sum() == 8

    def test_small_eigenvalues_that_are_real_stay(self):
        values = np.array([1e-13, 1e-6, 1.0])
        assert_allclose(np.sort(np.square(root(np.diag(values))).sum(0)), values, rtol=1e-12)


class TestFewClips:
    """Fewer clips than features: covariances are singular."""

    @pytest.mark.parametrize(
        ("n", "m", "size"), [(2, 2, 3), (5, 9, 64), (40, 30, 200), (300, 7, 64)]
    )
    def test_equals_what_the_features_give(self, n: int, m: int, size: int):
        rng = random(n)
        mix = rng.normal(size=(size, size))
        one, two = rng.normal(size=(n, size)) @ mix, rng.normal(size=(m, size)) @ mix + 0.5
        found = frechet_distance(FeatureMoments.of(one), FeatureMoments.of(two))
        assert found == pytest.approx(by_features(one, two), rel=1e-10)

    def test_of_equal_sets_is_nothing(self):
        one = FeatureMoments.of(random(0).normal(size=(20, 400)))
        assert 0 <= frechet_distance(one, one) < 1e-24

    def test_of_features_that_depend_on_each_other(self):
        rng = random(3)
        one = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 40))
        two = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 40)) + 1
        found = frechet_distance(FeatureMoments.of(one), FeatureMoments.of(two))
        assert found == pytest.approx(by_features(one, two), rel=1e-10)


class TestMoments:
    """Sets of features that come in portions."""

    @given(
        st.integers(0, 2**32),
        st.lists(st.integers(1, 7), min_size=1, max_size=6),
        st.floats(-1e6, 1e6),
    )
    @settings(max_examples=50, deadline=None)
    def test_portions_in_any_order_give_what_all_together_give(self, seed, sizes, far):
        rng = random(seed)
        features = rng.normal(size=(sum(sizes), 4)) + far
        parts = np.split(features, np.cumsum(sizes)[:-1])
        moments = [FeatureMoments.of(part) for part in parts]
        total = moments[0]
        for each in moments[1:]:
            total = each.merge(total)
        once = FeatureMoments.of(features)
        assert total.count == once.count == len(features)
        close = {"rtol": 1e-9, "atol": 1e-9 * max(1.0, abs(far)) ** 0.5}
        assert_allclose(total.mean, features.mean(0), rtol=1e-12, atol=1e-12)
        assert_allclose(total.scatter, once.scatter, **close)

    def test_covariance_is_unbiased(self):
        features = random(1).normal(size=(11, 5)) + 3
        assert_allclose(FeatureMoments.of(features).covariance, np.cov(features.T), rtol=1e-12)

    def test_single_precision_is_added_up_in_double(self):
        features = (random(2).normal(size=(1000, 3)) + 1e4).astype(np.float32)
        found = FeatureMoments.of(features)
        assert found.scatter.dtype == np.float64
        assert_allclose(found.covariance, np.cov(features.astype(np.float64).T), rtol=1e-10)

    def test_what_is_no_set_is_refused(self):
        one = FeatureMoments.of(np.ones((1, 3)))
        with pytest.raises(FramecastError, match="2 clips at least"):
            frechet_distance(one, one)
        with pytest.raises(FramecastError, match="sets of 3 and 4 features"):
            one.merge(FeatureMoments.of(np.ones((1, 4))))
        with pytest.raises(FramecastError, match="sets of 3 and 4 features"):
            frechet_distance(one, FeatureMoments.of(np.ones((2, 4))))
        with pytest.raises(FramecastError, match="not finite"):
            FeatureMoments.of(np.array([[1.0, np.nan]]))
        with pytest.raises(FramecastError, match="at least one; got 0×3"):
            FeatureMoments.of(np.ones((0, 3)))


class TestFolds:
    """Two halves, and the whole."""

    def test_each_fold_is_of_its_own_sequences(self):
        rng = random(7)
        one, two = rng.normal(size=(21, 6)), rng.normal(size=(18, 6)) * 1.5 + 0.2
        a, b = FoldedMoments(), FoldedMoments()
        a.add(one[:5], range(5))
        a.add(one[5:], range(5, 21))
        b.add(two, range(18))
        found = a.distance(b)
        assert len(found.folds) == FOLDS == 2
        halves = [by_features(one[k::2], two[k::2]) for k in (0, 1)]
        assert found.folds == pytest.approx(halves, rel=1e-9)
        assert found.whole == pytest.approx(by_features(one, two), rel=1e-9)
        assert found.mean == pytest.approx(sum(halves) / 2)
        assert found.deviation == pytest.approx(abs(halves[0] - halves[1]) / math.sqrt(2))

    def test_few_clips_leave_a_fold_without_a_distance(self):
        one = FoldedMoments()
        assert one.whole is None
        assert math.isnan(one.distance(one).whole)
        one.add(random(0).normal(size=(3, 2)), [0, 1, 2])
        found = one.distance(one)
        assert found.whole == pytest.approx(0, abs=1e-20)
        assert found.folds[0] == pytest.approx(0, abs=1e-20)
        assert math.isnan(found.folds[1])
        assert math.isnan(found.mean)

    def test_clips_and_numbers_come_together(self):
        with pytest.raises(FramecastError, match="3 clips have 2 sequence numbers"):
            FoldedMoments().add(np.ones((3, 2)), [0, 1])
