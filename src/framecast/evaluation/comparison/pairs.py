"""Whether models differ on the same sequences, and which one may be called the best."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from framecast.evaluation.comparison.lines import Line, mean, ranked
from framecast.evaluation.result import MetricInfo
from framecast.evaluation.statistics import LEVEL, Comparison, bootstrap, expanded, holm

FINEST = 0.02
"""The smallest p-value after Holm, for as many pairs as there are, that resamples shall resolve."""
RESAMPLES, MOST = 10_000, 200_000
"""Fewest resamples, and most."""
TOGETHER = 8_000_000
"""Resampled means held at a time, 64 MB."""
FEWEST = 10
"""Sequences below which nothing is tested: resamples of so few say too little."""


@dataclass(frozen=True)
class Pair:
    """How two lines differ by a metric."""

    first: str
    second: str
    found: Comparison  # first − second
    p: float  # adjusted for all pairs of the metric


@dataclass(frozen=True)
class Verdict:
    """What may be said about the best by a metric."""

    best: str | None
    """The line that is best and that the test tells from the second; None for none."""
    words: str
    """Why none is marked; empty where one is."""


def compared(
    lines: Sequence[Line], infos: Mapping[str, MetricInfo], seed: int
) -> dict[str, tuple[Pair, ...]]:
    """Every pair of lines by every metric that ranks, from the same resamples.

    Lines whose scores are not all finite are left out, as are metrics that have no score of single
    sequences; nothing is tested where sequences are too few.
    """
    found: list[tuple[str, Line, Line, np.ndarray]] = []
    for key, info in infos.items():
        if info.higher_is_better is not None:
            found += [(key, *pair) for pair in _pairs(lines, key)]
    if not found:
        return {}
    differences = np.stack([difference for *_, difference in found], 1)
    most = max(Counter(key for key, *_ in found).values())
    resamples = _resamples(len(differences), most)
    portion = max(1, TOGETHER // resamples)  # the resamples of a seed are the same in each
    comparisons = [
        each
        for start in range(0, len(found), portion)
        for each in bootstrap(
            differences[:, start : start + portion], seed=seed, resamples=resamples
        )
    ]
    grouped: dict[str, list[Pair]] = {}
    for (key, first, second, _), each in zip(found, comparisons, strict=True):
        grouped.setdefault(key, []).append(Pair(first.name, second.name, each, each.p))
    return {key: _adjusted(pairs) for key, pairs in grouped.items()}


def _resamples(sequences: int, pairs: int) -> int:
    """How many resolve `FINEST` for so many pairs: the fewer sequences, the more."""
    outside = (1 - expanded(1 - FINEST / pairs, sequences)) / 2
    return min(MOST, max(RESAMPLES, math.ceil(1 / max(outside, 1 / MOST))))


def verdict(
    lines: Sequence[Line], key: str, info: MetricInfo, pairs: Sequence[Pair]
) -> Verdict | None:
    """Which line is the best by a metric; None where it does not rank or there is one line."""
    if info.higher_is_better is None:
        return None
    order = ranked(lines, key, info.higher_is_better)
    if len(order) < 2:
        return None
    best, second = order[0].name, order[1].name
    pair = next((each for each in pairs if {each.first, each.second} == {best, second}), None)
    if pair is None:
        if math.isinf(mean(order[0].row.values.get(key)) or 0):
            why = f"{best} matches some frames exactly, which makes its mean infinite"
            return Verdict(None, f"{info.label}: nothing is marked, as {why}")
        why = _untested(order[:2], key)
        words = f"{info.label}: {best} is first, but not tested against {second}: {why}"
        return Verdict(None, words)
    if pair.p < 1 - LEVEL:
        return Verdict(best, "")
    words = (
        f"{info.label}: {best} is first, but not told apart from {second} (p = {p_value(pair.p)})"
    )
    return Verdict(None, words)


def p_value(value: float) -> str:
    """A p-value in three digits at most."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _untested(both: Sequence[Line], key: str) -> str:
    scores = [line.scores(key) for line in both]
    known = [values for values in scores if values is not None]
    if len(known) < 2:
        return "there are no figures of single sequences"
    if len(known[0]) < FEWEST:
        return f"there are fewer than {FEWEST} sequences"
    return "not all figures are finite"


def _pairs(lines: Sequence[Line], key: str) -> list[tuple[Line, Line, np.ndarray]]:
    scored = [(line, line.scores(key)) for line in lines]
    usable = [
        (line, values)
        for line, values in scored
        if values is not None and len(values) >= FEWEST and np.isfinite(values).all()
    ]
    return [
        (first, second, ours.astype(np.float64) - theirs)
        for (first, ours), (second, theirs) in itertools.combinations(usable, 2)
    ]


def _adjusted(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    adjusted = holm([pair.p for pair in pairs])
    return tuple(
        Pair(pair.first, pair.second, pair.found, p)
        for pair, p in zip(pairs, adjusted, strict=True)
    )
