"""Fréchet distance between two sets of features, each taken for a Gaussian.

Count, mean and scatter of a set are added up as features come and can be merged, so that no
feature has to be kept. All arithmetic is in float64: float32 is not enough for the square root of a
product of covariances of hundreds of features.

Reference: Dowson & Landau, "The Fréchet distance between multivariate normal distributions" (1982);
Unterthiner et al., "Towards accurate generative models of video" (2018), section 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from framecast.errors import FramecastError

FOLDS = 2
"""Parts of equal size that a distance is computed on, each for itself.

Reference: Video VQ-VAE, section 5.2.
"""


@dataclass(frozen=True)
class FeatureMoments:
    """Count, mean and scatter of features.

    Immutable: `merge` returns new moments, equal to those of all features together whatever the
    order and the portions (to rounding).

    Reference: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances" (1979), equation 2.1, of vectors.
    """

    count: int
    mean: Float[np.ndarray, "k"]
    scatter: Float[np.ndarray, "k k"]  # Σ (x − mean)(x − mean)ᵀ

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> "FeatureMoments":
        """Moments of `n k` features, n ≥ 1.

        Raises:
            FramecastError: a feature is not finite, or there is none.
        """
        exact = np.asarray(features, dtype=np.float64)
        if exact.ndim != 2 or not exact.size:
            raise FramecastError(
                f"moments are of features n×k, at least one; got {'×'.join(map(str, exact.shape))}"
            )
        if not np.isfinite(exact).all():
            raise FramecastError("a feature is not finite: look for NaN among the frames")
        mean = exact.mean(0)
        centred = exact - mean
        return cls(len(exact), mean, centred.T @ centred)

    def merge(self, other: "FeatureMoments") -> "FeatureMoments":
        """Moments of both sets.

        Raises:
            FramecastError: their features differ in number.
        """
        _check_alike(self, other)
        count = self.count + other.count
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return FeatureMoments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """Unbiased: the scatter divided by count − 1.

        Raises:
            FramecastError: a single feature vector has none.
        """
        if self.count < 2:
            raise FramecastError("a covariance needs 2 clips at least")
        return self.scatter / (self.count - 1)


@dataclass(frozen=True)
class FoldedDistance:
    """A distance between two sets, and between the halves of them."""

    whole: float  # squared distance of the whole sets, in features squared
    folds: tuple[float, ...]  # squared distance of each fold

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.folds))

    @property
    def deviation(self) -> float:
        """Standard deviation of the folds, n − 1."""
        return float(np.std(self.folds, ddof=1))


class FoldedMoments:
    """Moments of a set in folds, filled as features come.

    A sequence is in the fold of its number modulo `FOLDS`: neighbours, which may be of one video or
    one class, are spread, and the fold of a sequence does not depend on how many there are.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.folds: list[FeatureMoments | None] = [None] * FOLDS

    def add(self, features: NDArray[np.floating], sequences: Sequence[int]) -> None:
        """Take features `n k` of clips with the numbers of their sequences.

        Raises:
            FramecastError: as `FeatureMoments.of` and `merge`, or a number is missing.
        """
        if len(features) != len(sequences):
            raise FramecastError(f"{len(features)} clips have {len(sequences)} sequence numbers")
        place = np.asarray(sequences) % FOLDS
        for fold in range(FOLDS):
            if (place == fold).any():
                found = FeatureMoments.of(features[place == fold])
                known = self.folds[fold]
                self.folds[fold] = found if known is None else known.merge(found)

    @property
    def whole(self) -> FeatureMoments | None:
        """Moments of all folds; None before anything came."""
        total: FeatureMoments | None = None
        for fold in self.folds:
            if fold is not None:
                total = fold if total is None else total.merge(fold)
        return total

    def distance(self, other: "FoldedMoments") -> FoldedDistance:
        """Distances to another set, fold by fold and of all.

        A fold of fewer than two clips in either set has the distance NaN, and so has the whole.
        """
        folds = tuple(_known(a, b) for a, b in zip(self.folds, other.folds, strict=True))
        return FoldedDistance(_known(self.whole, other.whole), folds)


def frechet_distance(one: FeatureMoments, two: FeatureMoments) -> float:
    """Squared Fréchet distance of the Gaussians with the moments of two sets.

    Returns:
        |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) ≥ 0, in features squared. This square is what FID and
        FVD report.

    Raises:
        FramecastError: their features differ in number, or a set has fewer than two.
    """
    _check_alike(one, two)
    return gaussian_distance(one.mean, one.covariance, two.mean, two.covariance)


def gaussian_distance(
    mean: Float[np.ndarray, "k"],
    covariance: Float[np.ndarray, "k k"],
    other_mean: Float[np.ndarray, "k"],
    other_covariance: Float[np.ndarray, "k k"],
) -> float:
    """Squared Fréchet distance of two Gaussians; covariances may be singular.

    With roots AAᵀ = Σ₁ and BBᵀ = Σ₂ the trace of (Σ₁Σ₂)^½ is the sum of the singular values of BᵀA
    = USVᵀ, and the whole term is |A − BUVᵀ|², which subtracts matrices, not traces: nothing is lost
    where the Gaussians are nearly equal, no product of covariances is formed, and what comes out
    cannot be negative.

    Returns:
        In features squared.
    """
    a, b = root(covariance), root(other_covariance)
    left, _, right = np.linalg.svd(b.T @ a)
    apart = a - b @ (left @ right)
    return float(np.square(mean - other_mean).sum() + np.square(apart).sum())


def root(covariance: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """A matrix whose product with its transpose is a covariance.

    Eigenvalues that rounding cannot tell from zero are zero: among features that depend on each
    other, or of fewer clips than features, they are noise, whose roots would be 10⁸ times larger.
    """
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    resolved = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors * np.sqrt(np.where(values > resolved, values, 0.0))


def _known(one: FeatureMoments | None, two: FeatureMoments | None) -> float:
    if one is None or two is None or min(one.count, two.count) < 2:
        return float("nan")
    return frechet_distance(one, two)


def _check_alike(one: FeatureMoments, two: FeatureMoments) -> None:
    if one.mean.shape != two.mean.shape:
        raise FramecastError(
            f"sets of {len(one.mean)} and {len(two.mean)} features cannot be compared"
        )
