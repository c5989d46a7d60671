"""The lines of a comparison: each model once, and the baselines that all of them share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framecast.evaluation.comparison.grouping import Group
from framecast.evaluation.comparison.loading import Entry
from framecast.evaluation.result import Interval, MetricInfo, Row

AGREE = 1e-4
"""Relative difference of a baseline's means beyond which two results cannot be of one dataset."""


@dataclass(frozen=True)
class Line:
    """A model's figures under a protocol, or a baseline's."""

    name: str
    row: Row
    entry: Entry  # the result that holds it

    @property
    def model(self) -> bool:
        """Whether it is a model rather than a baseline."""
        return self.row.role == "model"

    def scores(self, key: str) -> np.ndarray | None:
        """The metric of every sequence; None where it has no such scores."""
        return self.entry.scores.get(f"{'model' if self.model else self.row.name}/{key}")


def lines(group: Group) -> list[Line]:
    """The models in the order given, then the baselines.

    A baseline that is also evaluated as a model is shown as the model alone, and otherwise as the
    result with most of its metrics has it.
    """
    models = [Line(entry.label, entry.result.rows[0], entry) for entry in group.entries]
    shown = {entry.result.model.kind for entry in group.entries}
    found: dict[str, Line] = {}
    for entry in group.entries:
        for row in entry.result.rows:
            if row.role == "baseline" and row.name not in shown:
                known = found.get(row.name)
                if known is None or len(row.values) > len(known.row.values):
                    found[row.name] = Line(row.name, row, entry)
    return models + list(found.values())


def disagreeing(group: Group) -> list[str]:
    """Names of baselines whose figures differ between results, though the data is the same."""
    known: dict[tuple[str, str], float] = {}
    wrong: dict[str, None] = {}
    for entry in group.entries:
        for row in entry.result.rows:
            values = row.values.items() if row.role == "baseline" else ()
            for key, mean in ((key, each.mean) for key, each in values if each.mean is not None):
                other = known.setdefault((row.name, key), mean)
                if abs(mean - other) > AGREE * max(abs(mean), abs(other)):
                    wrong[row.name] = None
    return list(wrong)


def metrics(group: Group) -> dict[str, MetricInfo]:
    """The columns of all results, those that rank before those that only describe."""
    found: dict[str, MetricInfo] = {}
    for entry in group.entries:
        found |= {key: info for key, info in entry.result.metrics.items() if key not in found}
    return dict(sorted(found.items(), key=lambda item: item[1].higher_is_better is None))


def ranked(some: Sequence[Line], key: str, higher_is_better: bool) -> list[Line]:
    """Lines from the best to the worst by a metric; those without a value are left out."""
    sign = -1 if higher_is_better else 1
    found = [
        (sign * value, line)
        for line in some
        if (value := mean(line.row.values.get(key))) is not None
    ]
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def mean(value: Interval | None) -> float | None:
    """A mean that may be infinite; None where there is none."""
    if value is None:
        return None
    return float("inf") if value.infinite else value.mean
