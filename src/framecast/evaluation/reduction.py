"""From the scores of several samples to one score per frame."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.evaluation.protocol import Protocol

Scores = Mapping[str, Float[Tensor, "s b t"]]
Reduced = dict[str, Float[Tensor, "b t"]]


def mean_of(scores: Float[Tensor, "s b t"]) -> Float[Tensor, "b t"]:
    """Mean over the samples."""
    return scores.mean(0)


def best_of(scores: Float[Tensor, "s b t"], higher_is_better: bool) -> Float[Tensor, "b t"]:
    """The scores of each sequence's best sample, ranked by the mean over time; the first of equals.

    Reference: Denton & Fergus, Stochastic Video Generation with a Learned Prior (2018), section 5.
    """
    ranked = scores.mean(2)
    # the first of equals, on any device and whatever the number of samples
    best = (ranked if higher_is_better else -ranked).max(0, keepdim=True).values
    hit = (ranked if higher_is_better else -ranked) == best
    first = hit.to(torch.int8).argmax(0)
    return scores[first, torch.arange(scores.shape[1])]


def reduced(scores: Scores, protocol: Protocol, higher_is_better: Mapping[str, bool]) -> Reduced:
    """Reduce as the protocol says."""
    return {
        key: best_of(value, higher_is_better[key]) if key in protocol.best_by else mean_of(value)
        for key, value in scores.items()
    }


def otherwise(scores: Scores, protocol: Protocol, higher_is_better: Mapping[str, bool]) -> Reduced:
    """Reduce the other way: the mean where the protocol takes the best, the best for the mean.

    Keys without a direction, which are diagnostics, have no best sample.
    """
    if protocol.reduce == "best-of":
        return {key: mean_of(value) for key, value in scores.items()}
    return {
        key: best_of(value, higher_is_better[key])
        for key, value in scores.items()
        if key in higher_is_better
    }
