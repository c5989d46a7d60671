"""The continuous ranked probability score of samples, value by value.

Of a forecast X and what happened, y, it is E|X − y| − ½ E|X − X′|: the absolute error of a forecast
that is certain, and less where samples scatter as the truth does. Both terms are means over
samples. Of the second there are two estimators: `fair` leaves out the pairs of a sample with itself
and is unbiased, so that its mean does not depend on the number of samples; `plain` takes all pairs,
which scores the samples themselves as the forecast, and is larger by a share of about 1/s.

References:
    Gneiting & Raftery, Strictly Proper Scoring Rules, Prediction, and Estimation (2007), eq. 21.
    Ferro, Fair scores for ensemble forecasts (2014).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.errors import FramecastError

Estimator = Literal["fair", "plain"]


@dataclass(frozen=True)
class Distances:
    """Mean absolute differences, in units of the values, float64."""

    samples: int
    to_truth: Float[Tensor, "*n"]  # E|X − y|, a mean over samples
    apart: Float[Tensor, "*n"]  # E|X − X′| over pairs of two different samples; 0 for a single one

    def crps(self, estimator: Estimator) -> Float[Tensor, "*n"]:
        """The score; lower is better.

        Raises:
            FramecastError: for `fair` of a single sample, which has no pairs.
        """
        if estimator == "plain":
            return self.to_truth - self.apart * (self.samples - 1) / (2 * self.samples)
        if self.samples < 2:
            raise FramecastError("fair CRPS needs 2 samples or more; draw more, or take 'plain'")
        return self.to_truth - self.apart / 2


def distances(samples: Float[Tensor, "s *n"], truth: Float[Tensor, "*n"]) -> Distances:
    """Mean distances of samples from the truth and from each other.

    Sorted samples x₁ ≤ … ≤ xₛ give Σ |xᵢ − xⱼ| over pairs i < j as Σ (2k − s − 1) xₖ, so that time
    grows as s log s and memory as s. A few times the samples' memory is used: give portions.
    """
    count = len(samples)
    to_truth = (samples - truth).abs().mean(0, dtype=torch.float64)
    if (samples == samples[:1]).all():
        return Distances(count, to_truth, torch.zeros_like(to_truth))
    ordered = samples.movedim(0, -1).sort(-1).values.double()
    weights = torch.arange(1 - count, count, 2, dtype=torch.float64, device=samples.device)
    return Distances(count, to_truth, ordered @ (weights * 2 / (count * (count - 1))))


def crps(
    samples: Float[Tensor, "s *n"], truth: Float[Tensor, "*n"], *, estimator: Estimator
) -> Float[Tensor, "*n"]:
    """The score of every value, in its unit; lower is better, and `plain` is never below 0.

    Raises:
        FramecastError: for `fair` of a single sample.
    """
    return distances(samples, truth).crps(estimator)
