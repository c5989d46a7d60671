"""Means with their uncertainty, without keeping what was averaged.

`Moments` takes values as they come, `Accumulator` keeps one per metric, and `paired_bootstrap`
tells whether two methods differ on the same sequences.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from framecast.errors import FramecastError
from framecast.noise import mix

LEVEL = 0.95  # coverage of every interval unless another is named
PORTION = 1 << 22  # values resampled at a time: 32 MiB of indices


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
        """Mean, deviation and the normal approximation's interval of the mean.

        Args:
            level: Coverage of the interval, in (0, 1).
        """
        if self.count > 1:
            deviation = np.sqrt(self.squares / (self.count - 1))
        else:
            deviation = np.full_like(self.mean, np.nan)
        half = NormalDist().inv_cdf((1 + level) / 2) * deviation / np.sqrt(self.count)
        return Summary(self.count, self.mean, deviation, self.mean - half, self.mean + half)


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
    low: float  # interval of that mean, from the resamples' quantiles
    high: float
    share: float  # of the resamples whose difference is above zero, ties counted half; in [0, 1]
    sequences: int
    resamples: int


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
    means = _resampled_means(differences, resamples, mix(seed, "paired bootstrap"))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    share = (np.count_nonzero(means > 0) + 0.5 * np.count_nonzero(means == 0)) / resamples
    mean = float(differences.mean())
    return Comparison(mean, float(low), float(high), float(share), len(differences), resamples)


def _resampled_means(
    values: Float[np.ndarray, "n"], resamples: int, seed: int
) -> Float[np.ndarray, "r"]:
    draw = np.random.default_rng(seed)
    rows = max(1, PORTION // len(values))
    means: list[NDArray[np.float64]] = []
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), len(values))
        means.append(values[draw.integers(len(values), size=shape)].mean(1))
    return np.concatenate(means)
