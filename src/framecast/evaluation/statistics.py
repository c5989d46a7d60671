"""Means with their uncertainty, without keeping what was averaged.

`Moments` takes values as they come, `Accumulator` keeps one per metric, `paired_bootstrap` tells
whether two methods differ on the same sequences, and `holm` what remains of many such answers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from framecast.errors import FramecastError
from framecast.noise import mix

LEVEL = 0.95  # coverage of every interval unless another is named
PORTION = 1 << 22  # values resampled at a time: 32 MiB of indices, and as much of counts


@dataclass(frozen=True)
class Summary:
    """Mean over sequences per time step, with an interval of the mean."""

    count: int  # sequences
    mean: Float[np.ndarray, "t"]  # in the metric's unit; infinite where a value was
    deviation: Float[np.ndarray, "t"]  # of single sequences, n − 1; NaN for fewer than two
    low: Float[np.ndarray, "t"]  # NaN where the deviation is
    high: Float[np.ndarray, "t"]


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations per time step, in float64.

    Immutable: `add` and `merge` return new moments, equal to those of all values together whatever
    the order and portions (to rounding).

    Reference: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979), equation 2.1.
    """

    count: int
    mean: Float[np.ndarray, "t"]
    squares: Float[np.ndarray, "t"]  # Σ (x − mean)²

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> "Moments":
        """Moments of `n t` values, n ≥ 1."""
        exact = np.asarray(values, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # an infinite PSNR leaves the mean infinite
            mean = exact.mean(0)
            squares = np.square(exact - mean).sum(0)
        return cls(len(exact), mean, squares)

    def add(self, values: NDArray[np.floating]) -> "Moments":
        """Moments with `n t` more values."""
        return self.merge(Moments.of(values)) if len(values) else self

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both.

        Raises:
            FramecastError: Their numbers of time steps differ.
        """
        if self.mean.shape != other.mean.shape:
            raise FramecastError(
                f"results of {len(self.mean)} and {len(other.mean)} time steps cannot be merged"
            )
        count = self.count + other.count
        share = other.count / count
        with np.errstate(invalid="ignore"):
            mean = self.mean * (1 - share) + other.mean * share
            between = np.square(other.mean - self.mean) * (self.count * share)
        return Moments(count, mean, self.squares + other.squares + between)

    def summary(self, level: float = LEVEL) -> Summary:
        """Mean, deviation and Student's interval of the mean.

        Args:
            level: Coverage of the interval, in (0, 1).
        """
        if self.count > 1:
            deviation = np.sqrt(self.squares / (self.count - 1))
            half = student(self.count - 1, level) * deviation / np.sqrt(self.count)
        else:
            half = deviation = np.full_like(self.mean, np.nan)
        return Summary(self.count, self.mean, deviation, self.mean - half, self.mean + half)


@cache
def student(freedom: int, level: float) -> float:
    """The half width, in standard errors, that holds Student's t with a probability.

    Args:
        freedom: Degrees of freedom, at least 1.
        level: The probability, in (0, 1).

    Reference: Abramowitz & Stegun, "Handbook of mathematical functions" (1964), 26.7.3 and 26.7.4,
    solved for the angle by bisection.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(freedom, middle) < level else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def _within(freedom: int, angle: float) -> float:
    """Probability that |t| < tan(angle)·√freedom."""
    odd = freedom % 2
    cosine, sine = math.cos(angle), math.sin(angle)
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
        if term == 0:
            break
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


class Accumulator:
    """One `Moments` per key, filled batch by batch."""

    def __init__(self) -> None:
        self._moments: dict[str, Moments] = {}

    def add(self, values: Mapping[str, NDArray[np.floating]]) -> None:
        """Take `n t` values of each key; keys that are new begin here.

        Raises:
            FramecastError: The number of time steps differs from before.
        """
        for key, value in values.items():
            if len(value):
                self._merge(key, Moments.of(value))

    def merge(self, other: "Accumulator") -> None:
        """Take everything that another accumulator has, e.g. another process's."""
        for key, moments in other:
            self._merge(key, moments)

    def __iter__(self) -> Iterator[tuple[str, Moments]]:
        """Keys with their moments, in the order in which they came."""
        return iter(self._moments.items())

    def summaries(self, level: float = LEVEL) -> dict[str, Summary]:
        """A summary per key."""
        return {key: moments.summary(level) for key, moments in self}

    def _merge(self, key: str, moments: Moments) -> None:
        known = self._moments.get(key)
        self._moments[key] = moments if known is None else known.merge(moments)


@dataclass(frozen=True)
class Comparison:
    """How two methods differ on the same sequences."""

    difference: float  # mean of first − second, in the metric's unit
    low: float  # interval of that mean, from the resamples' quantiles; infinite for one sequence
    high: float
    share: float  # of the resamples whose difference is above zero, ties counted half; in [0, 1]
    sequences: int
    resamples: int

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference: 1 − level of the widest interval without zero.

        Never below that of a share of 1 / (resamples + 1), as no number of resamples excludes
        anything.

        Reference: Davison & Hinkley, "Bootstrap methods and their application" (1997), sections 4.2
        and 5.6; for few sequences as in `expanded`.
        """
        tail = (min(self.share, 1 - self.share) * self.resamples + 1) / (self.resamples + 1)
        if tail >= 0.5 or self.sequences < 2:
            return 1.0
        freedom = self.sequences - 1
        score = -NormalDist().inv_cdf(tail) * math.sqrt(freedom / self.sequences)
        return 1 - _within(freedom, math.atan(score / math.sqrt(freedom)))


def expanded(level: float, count: int) -> float:
    """The level at which resamples' quantiles cover a mean as wanted, though values are few.

    Resampled means scatter by a factor of √((n − 1)/n) too little, and as a normal variable where
    Student's t would be due: of ten values their 95 % interval covers some 91 %.

    Args:
        level: The coverage wanted, in (0, 1).
        count: Values, at least 2.

    Reference: Hesterberg, "What teachers should know about the bootstrap", The American
    Statistician 69 (2015): the expanded percentile interval.
    """
    score = student(count - 1, level) * math.sqrt(count / (count - 1))
    return 2 * NormalDist().cdf(score) - 1


def paired_bootstrap(
    first: Float[np.ndarray, "n"],
    second: Float[np.ndarray, "n"],
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = LEVEL,
) -> Comparison:
    """Bootstrap the mean difference of two methods' scores per sequence.

    Sequences are drawn with replacement, both methods' scores of a sequence together, so that what
    makes a sequence hard for both does not count as uncertainty.

    Args:
        first: One score per sequence.
        second: The other method's scores of the same sequences, in the same order.
        seed: Chooses the resamples, which depend on nothing else but their number and `n`.
        resamples: How many; at least 1.
        level: Coverage of the interval, in (0, 1).

    Raises:
        FramecastError: The numbers of sequences differ, there is none, or a difference is not
            finite, as with infinite PSNR.

    Reference: Efron & Tibshirani, "An introduction to the bootstrap" (1993), section 13.3.
    """
    if len(first) != len(second) or not len(first):
        raise FramecastError(
            f"scores of {len(first)} and {len(second)} sequences: the same ones are needed, "
            "at least one"
        )
    with np.errstate(invalid="ignore"):
        differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if not np.isfinite(differences).all():
        raise FramecastError(
            "a difference of scores is not finite; compare these methods by another metric"
        )
    return bootstrap(differences[:, None], seed=seed, resamples=resamples, level=level)[0]


def bootstrap(
    differences: Float[np.ndarray, "n d"],
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = LEVEL,
) -> list[Comparison]:
    """Bootstrap the means of many differences, all from the same resamples of the sequences.

    Args:
        differences: Of pairs of methods, or by several metrics: one row per sequence, at least
            one, and finite.
        seed: Chooses the resamples, which depend on nothing else but their number and `n`.
        resamples: How many; at least 1.
        level: Coverage of the intervals, in (0, 1).

    Returns:
        One comparison per column.
    """
    exact = np.asarray(differences, np.float64)
    means = _resampled_means(exact, resamples, mix(seed, "paired bootstrap"))
    if len(exact) > 1:
        wide = expanded(level, len(exact))
        lows, highs = np.quantile(means, [(1 - wide) / 2, (1 + wide) / 2], axis=0)
    else:
        lows, highs = np.full_like(means[:1], -np.inf)[0], np.full_like(means[:1], np.inf)[0]
    above, tied = np.count_nonzero(means > 0, axis=0), np.count_nonzero(means == 0, axis=0)
    shares = (above + 0.5 * tied) / resamples
    return [
        Comparison(float(mean), float(low), float(high), float(share), len(exact), resamples)
        for mean, low, high, share in zip(exact.mean(0), lows, highs, shares, strict=True)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """p-values of a family of tests, adjusted so that they may be compared with one level.

    At a level of 5 %, one or more of the true hypotheses are rejected in at most 5 % of families.

    Reference: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for place, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        highest = max(highest, min(1.0, (len(p) - place) * p[index]))
        adjusted[index] = highest
    return adjusted


def _resampled_means(
    values: Float[np.ndarray, "n d"], resamples: int, seed: int
) -> Float[np.ndarray, "r d"]:
    """Means of each column over draws of rows with replacement, by how often each row is drawn."""
    draw, count = np.random.default_rng(seed), len(values)
    rows = max(1, PORTION // count)
    means: list[NDArray[np.float64]] = []
    for start in range(0, resamples, rows):
        number = min(rows, resamples - start)
        drawn = draw.integers(count, size=(number, count))
        drawn += count * np.arange(number)[:, None]
        times = np.bincount(drawn.ravel(), minlength=number * count).reshape(number, count)
        means.append(times.astype(np.float64) @ values / count)
    return np.concatenate(means)
