"""Scores of rain forecasts at thresholds: CSI, POD and FAR.

Hits, misses and false alarms are counted per frame and added up before they are divided: a mean of
ratios over frames would weigh a frame with one wet pixel as much as a flooded one.

Reference: Schaefer, "The critical success index as an indicator of warning skill", Weather and
Forecasting 5 (1990).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from framecast.errors import FramecastError


@dataclass(frozen=True)
class Contingency:
    """Numbers of pixels, the last axis being the threshold."""

    hits: Int64[Tensor, "*n k"]  # predicted and observed
    misses: Int64[Tensor, "*n k"]  # observed only
    false_alarms: Int64[Tensor, "*n k"]  # predicted only

    def __add__(self, other: "Contingency") -> "Contingency":
        """Counts of both, of the same shape."""
        return Contingency(
            self.hits + other.hits,
            self.misses + other.misses,
            self.false_alarms + other.false_alarms,
        )

    def sum(self, *axes: int) -> "Contingency":
        """Counts added over leading axes, e.g. `sum(0)` over sequences to keep the lead time.

        Raises:
            FramecastError: An axis is the one of the thresholds, or none is named.
        """
        last = self.hits.ndim - 1
        if not axes or any(axis % self.hits.ndim == last for axis in axes):
            raise FramecastError("counts are added over one or more axes before the last")
        return Contingency(self.hits.sum(axes), self.misses.sum(axes), self.false_alarms.sum(axes))

    @property
    def csi(self) -> Float[Tensor, "*n k"]:
        """Critical success index, hits / (hits + misses + false alarms); NaN where all are zero."""
        return _ratio(self.hits, self.hits + self.misses + self.false_alarms)

    @property
    def pod(self) -> Float[Tensor, "*n k"]:
        """Probability of detection, hits / (hits + misses); NaN where nothing was observed."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def far(self) -> Float[Tensor, "*n k"]:
        """False alarm ratio, false alarms / (hits + false alarms); NaN where none was predicted."""
        return _ratio(self.false_alarms, self.hits + self.false_alarms)


def contingency(
    prediction: Float[Tensor, "*n c h w"],
    target: Float[Tensor, "*n c h w"],
    thresholds: Sequence[float],
    *,
    missing: Bool[Tensor, "*n c h w"] | None = None,
) -> Contingency:
    """Count the pixels of each frame at or above each threshold.

    Args:
        prediction: Frames in any unit.
        target: Frames in the same unit.
        thresholds: In that unit; a pixel counts as wet from the threshold on.
        missing: Pixels that were not observed. Together with NaNs of the target they are left
            out; a NaN of the prediction is not at or above any threshold.

    Returns:
        Counts per frame and threshold; add them up with `sum` and `+`.

    Raises:
        FramecastError: No threshold is given.
    """
    if not thresholds:
        raise FramecastError("radar scores need at least one threshold")
    valid = ~target.isnan()
    if missing is not None:
        valid &= ~missing
    hits, misses, false_alarms = [], [], []
    for threshold in thresholds:
        predicted = (prediction >= threshold) & valid
        observed = (target >= threshold) & valid
        hits.append(_count(predicted & observed))
        misses.append(_count(observed & ~predicted))
        false_alarms.append(_count(predicted & ~observed))
    return Contingency(
        torch.stack(hits, -1), torch.stack(misses, -1), torch.stack(false_alarms, -1)
    )


def _count(pixels: Tensor) -> Tensor:
    return pixels.flatten(-3).sum(-1)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part.double() / whole.double()
