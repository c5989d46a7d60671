"""Calibration: whether the truth falls among the samples as a further sample would.

The rank of a true value is how many of its s samples lie below it. Where samples equal the truth it
could stand on either side of each, and all these ranks count in equal parts: the mean over all
random ways to break ties. If truth and samples come from one distribution, all s + 1 ranks are
equally likely, whatever the distribution and however often it repeats a value.

Rank r is the share from r/(s + 1) to (r + 1)/(s + 1) of the predicted distribution, evenly filled.
So the middle p of it holds the truth with probability p exactly, for any p and any s. Beyond
(s − 1)/(s + 1) an interval reaches into the outermost ranks, outside of all samples, where nothing
is known of how far the truth is away: such an interval is not `resolved`.

Values are compared on the grid of 8-bit frames, so that a background of 0.0004 instead of 0 is no
surprise. Values that all samples and the truth share are `certain` and left out: they say nothing
of spread, and in videos with an even background they are nearly all. The rule treats the truth as
one more sample, so that calibrated predictions stay calibrated.

References:
    Hamill, Interpretation of rank histograms for verifying ensemble forecasts (2001).
    Gneiting, Balabdaoui & Raftery, Probabilistic forecasts, calibration and sharpness (2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from framecast.evaluation.result import CalibrationInfo, Coverage, Interval
from framecast.noise import mix

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Central intervals that results report."""
STEP = 1 / 255
"""Values that round to the same multiple of it are equal."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Ranks:
    """Where the true values of some frames fall among their samples."""

    histogram: Float[Tensor, "b r"]  # values by rank, r = s + 1 of them; float64, ties in parts
    certain: Int64[Tensor, "b"]  # values left out because all samples and the truth are equal


def ranks(
    samples: Float[Tensor, "s b p"],
    truth: Float[Tensor, "b p"],
    *,
    step: float | None,
    missing: Bool[Tensor, "b p"] | None = None,
) -> Ranks:
    """Count the ranks of true values.

    Args:
        samples: `p` values of `b` frames.
        truth: The true values.
        step: Values are rounded to multiples of it before they are compared; None compares exactly.
        missing: Values of the truth that are not known, which are not counted.
    """
    count = len(samples)
    if step is not None:
        samples, truth = (samples / step).round(), (truth / step).round()
    below, ties = (samples < truth).sum(0), (samples == truth).sum(0)
    certain = ties == count
    known = torch.ones_like(certain) if missing is None else ~missing
    share = (known & ~certain).double() / (ties + 1)
    edges = torch.zeros(len(truth), count + 2, dtype=torch.float64, device=truth.device)
    edges.scatter_add_(1, below, share).scatter_add_(1, below + ties + 1, -share)
    return Ranks(edges.cumsum(1)[:, :-1].clamp_min(0), (known & certain).sum(1))


def coverage(histogram: Float[np.ndarray, "*n r"], level: float) -> Float[np.ndarray, "*n"]:
    """Share of the values that fall into the middle of the predicted distribution.

    Args:
        histogram: Values by rank.
        level: How much of the distribution, in (0, 1); of calibrated samples the share is the same.

    Returns:
        Shares in [0, 1]; NaN where there are no values.
    """
    number = histogram.shape[-1]
    edges = np.linspace(0, 1, number + 1)
    inside = np.clip(edges, (1 - level) / 2, (1 + level) / 2)
    with np.errstate(invalid="ignore"):
        return np.asarray((histogram @ (np.diff(inside) * number)) / histogram.sum(-1))


class Calibration:
    """Sums of ranks: per sequence for intervals, and per frame for how it goes with time."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sequences: list[np.ndarray] = []
        self._frames: np.ndarray | None = None
        self._certain = 0

    def add(self, found: Sequence[Ranks]) -> None:
        """Take the ranks of some sequences, one for each predicted frame."""
        histograms = torch.stack([each.histogram for each in found], 1).cpu().numpy()
        frames = histograms.sum(0)
        self._frames = frames if self._frames is None else self._frames + frames
        self._sequences.append(histograms.sum(1))
        self._certain += sum(int(each.certain.sum()) for each in found)

    def info(self, seed: int) -> CalibrationInfo | None:
        """What is reported; None where all values are certain.

        Args:
            seed: Draws the resamples of sequences that the intervals come from.
        """
        if self._frames is None or not self._frames.sum():
            return None
        sequences = np.concatenate(self._sequences)
        total = sequences.sum(0)
        resamples = _resampled(sequences, seed)
        covered = [self._coverage(level, total, resamples) for level in LEVELS]
        shares = (total / total.sum()).tolist()
        certain = self._certain / (self._certain + float(total.sum()))
        return CalibrationInfo(len(total) - 1, shares, covered, certain, STEP)

    def _coverage(
        self,
        level: float,
        total: Float[np.ndarray, "r"],
        resamples: Float[np.ndarray, "n r"] | None,
    ) -> Coverage:
        assert self._frames is not None
        ends = (np.nan, np.nan)
        if resamples is not None:
            ends = np.nanquantile(coverage(resamples, level), [0.025, 0.975])
        share = Interval.of(float(coverage(total, level)), *map(float, ends))
        frames = [None if np.isnan(v) else float(v) for v in coverage(self._frames, level)]
        return Coverage(level, share, frames, level <= (len(total) - 2) / len(total))


def _resampled(sequences: Float[np.ndarray, "n r"], seed: int) -> Float[np.ndarray, "m r"] | None:
    """Sums over sequences drawn with replacement; a single sequence tells nothing."""
    number = len(sequences)
    if number < 2:
        return None
    draw = np.random.default_rng(mix(seed, "calibration"))
    drawn = (draw.integers(number, size=number) for _ in range(RESAMPLES))
    return np.stack([np.bincount(rows, minlength=number) @ sequences for rows in drawn])
