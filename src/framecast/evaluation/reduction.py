"""From the scores of several samples to one score per frame."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.evaluation.protocol import Protocol

Scores = Mapping[str, Float[Tensor, "s b t"]]
Reduced = dict[str, Float[Tensor, "b t"]]
Kind = Literal["best", "mean score", "mean frame"]
"""The scores of the best sample, by metric; the mean of the samples' scores; or the scores of the
mean of the samples' frames, pixel by pixel."""

COUNTS = (5, 50, 100)
"""Numbers of samples that are reported besides all of them, where there are more.

Reference: HAF-SVG, figure 7.
"""


def mean_of(scores: Float[Tensor, "s b t"]) -> Float[Tensor, "b t"]:
    """Mean over the samples."""
    return scores.mean(0)


def best_of(scores: Float[Tensor, "s b t"], higher_is_better: bool) -> Float[Tensor, "b t"]:
    """The scores of each sequence's best sample, ranked by the mean over time; the first of equals.

    Reference: Denton & Fergus, Stochastic Video Generation with a Learned Prior (2018), section 5.
    """
    ranked = scores.mean(2) if higher_is_better else -scores.mean(2)
    # the first of equals, on any device and whatever the number of samples; a NaN is never hidden
    hit = (ranked == ranked.max(0, keepdim=True).values) | ranked.isnan()
    first = hit.to(torch.int8).argmax(0)
    return scores[first, torch.arange(scores.shape[1])]


def reduced(scores: Scores, protocol: Protocol, higher_is_better: Mapping[str, bool]) -> Reduced:
    """Reduce as the protocol says."""
    return {
        key: best_of(value, higher_is_better[key]) if key in protocol.best_by else mean_of(value)
        for key, value in scores.items()
    }


@dataclass(frozen=True)
class Reduction:
    """One way to make one figure of the first so many samples."""

    kind: Kind
    count: int  # samples

    @property
    def name(self) -> str:
        """What lines of results say."""
        return f"{self.kind} of {self.count}"

    def __call__(
        self,
        scores: Scores,
        mean_frames: Mapping[int, Reduced],
        higher_is_better: Mapping[str, bool],
    ) -> Reduced:
        """Reduce the scores of all samples.

        Keys without a direction, which are diagnostics, have no best sample.

        Args:
            scores: Of each sample, by metric.
            mean_frames: Scores of the mean of the first so many samples, by their number.
            higher_is_better: By metric that has a direction.
        """
        if self.kind == "mean frame":
            return dict(mean_frames[self.count])
        some = {key: value[: self.count] for key, value in scores.items()}
        if self.kind == "mean score":
            return {key: mean_of(value) for key, value in some.items()}
        return {
            key: best_of(value, higher_is_better[key])
            for key, value in some.items()
            if key in higher_is_better
        }


def counts(samples: int) -> tuple[int, ...]:
    """How many of the samples are reduced: those of `COUNTS` that are fewer, and all."""
    return (*(count for count in COUNTS if count < samples), samples)


def others(protocol: Protocol, ranked: Collection[str]) -> list[Reduction]:
    """The reductions that are reported beside the protocol's own, of which there may be none.

    Args:
        protocol: Whose samples are reduced.
        ranked: Metrics that have a best sample. The protocol's own line has the means of those that
            it does not ask the best of, which then have a line of their own.
    """
    samples = protocol.samples or 1
    if samples == 1:
        return []
    kinds: tuple[Kind, ...] = ("best", "mean score", "mean frame")
    own: Reduction | None = Reduction("mean score", samples)
    if protocol.reduce == "best-of":
        own = Reduction("best", samples) if set(ranked) <= set(protocol.best_by) else None
    found = [Reduction(kind, count) for kind in kinds for count in counts(samples)]
    return [reduction for reduction in found if reduction != own]
