"""Events at thresholds in units (rain, for example): counts that add up, ratios at the end."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from framecast.data.arrays import Arrays
from framecast.evaluation.metrics.radar import Contingency, contingency
from framecast.evaluation.result import Interval, MetricInfo
from framecast.noise import mix

EVENTS = "events"
RESAMPLES = 1000
SLACK = 1e-6
"""Part of the range of values by which a value may miss a threshold and still count."""
HIGHER_IS_BETTER = {"csi": True, "pod": True, "far": False}


@dataclass(frozen=True)
class EventScores:
    """CSI, POD and FAR of predictions of arrays."""

    data: Arrays
    """Leads from frames back to units."""
    thresholds: tuple[float, ...]
    """In those units; an event is a value from the threshold on."""

    def count(
        self,
        frame: Float[Tensor, "s b c h w"],
        truth: Float[Tensor, "s b c h w"],
        missing: Bool[Tensor, "s b c h w"] | None,
    ) -> Int64[Tensor, "s b k 3"]:
        """Hits, misses and false alarms of frames in [0, 1], per threshold, where measured."""
        low, high = self.data.limits
        # float32 frames lead back to a value at a threshold only up to rounding
        edges = [threshold - SLACK * (high - low) for threshold in self.thresholds]
        units = self.data.to_units(frame.double()), self.data.to_units(truth.double())
        found = contingency(*units, edges, missing=missing)
        return torch.stack([found.hits, found.misses, found.false_alarms], -1)

    def infos(self) -> dict[str, MetricInfo]:
        """What each column is."""
        return {
            f"{score}@{threshold:g}": MetricInfo(
                f"{score.upper()} from {threshold:g}",
                "",
                better,
                {"variant": f"{score} of counts over all frames and samples", "clip": True},
            )
            for threshold in self.thresholds
            for score, better in HIGHER_IS_BETTER.items()
        }

    def values(self, counts: Int64[np.ndarray, "n k 3"], seed: int) -> dict[str, Interval]:
        """Ratios of the counts of all sequences; intervals by a bootstrap over sequences, of two
        at least.
        """
        draw = np.random.default_rng(mix(seed, "events"))
        number = len(counts)
        resamples = np.stack(
            [counts[draw.integers(number, size=number)].sum(0) for _ in range(RESAMPLES)]
        )
        spread = self._ratios(resamples)
        unknown = (np.nan, np.nan)
        return {
            key: Interval.of(float(value), *(_ends(spread[key]) if number > 1 else unknown))
            for key, value in self._ratios(counts.sum(0)).items()
        }

    def curves(self, counts: Int64[np.ndarray, "t k 3"]) -> dict[str, list[Interval]]:
        """Ratios of the counts of all sequences for each frame, without intervals."""
        return {
            key: [Interval.of(float(value), np.nan, np.nan) for value in values]
            for key, values in self._ratios(counts).items()
        }

    def _ratios(self, counts: Int64[np.ndarray, "*n k 3"]) -> dict[str, np.ndarray]:
        found = Contingency(*torch.from_numpy(counts).unbind(-1))
        return {
            f"{score}@{threshold:g}": getattr(found, score)[..., place].numpy()
            for place, threshold in enumerate(self.thresholds)
            for score in HIGHER_IS_BETTER
        }


def _ends(values: Float[np.ndarray, "r"]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not known.size:
        return math.nan, math.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
