"""Results as tables: for terminals, and as Markdown."""

from collections.abc import Mapping
from dataclasses import dataclass

from framecast.evaluation.result import Interval, Result

Published = Mapping[str, Mapping[str, float]]
"""Figures of papers: by name of the line, then by metric."""


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    title: str
    columns: tuple[str, ...]  # the first one is the name of the line
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]  # what a reader has to know, one per line


def table(result: Result, published: Published | None = None) -> Table:
    """The figures of a result, baselines beside.

    Args:
        result: An evaluation.
        published: Figures from papers, which go below; they have no interval.

    Returns:
        Means with the half-width of their 95 % intervals. ↑ and ↓ say which direction is better.
    """
    keys = list(result.metrics)
    names = tuple(_heading(result, key) for key in keys)
    rows = [(row.name, *(_cell(row.values.get(key)) for key in keys)) for row in result.rows]
    for name, figures in (published or {}).items():
        known = (f"{figures[key]:.4g}" if key in figures else "–" for key in keys)
        rows.append((f"{name} (published)", *known))
    share = "" if result.complete else f" of {result.data.available:,}: partial"
    title = f"{result.name}, {result.data.sequences:,} sequences{share}"
    return Table(title, ("", *names), tuple(rows), tuple(_notes(result)))


def markdown(result: Result, published: Published | None = None) -> str:
    """The table as Markdown, with its title above and its notes below."""
    found = table(result, published)
    lines = [found.columns, ("---",) * len(found.columns), *found.rows]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"- {note}" for note in found.notes]
    return "\n".join([f"### {found.title}", "", *body, "", *notes]) + "\n"


def _heading(result: Result, key: str) -> str:
    info = result.metrics[key]
    arrow = {True: " ↑", False: " ↓", None: ""}[info.higher_is_better]
    unit = f", {info.unit}" if info.unit else ""
    return f"{info.label}{unit}{arrow}"


def _cell(value: Interval | None) -> str:
    if value is None:
        return "–"
    if value.mean is None:
        return "∞" if value.infinite else "–"
    if value.low is None or value.high is None:
        return f"{value.mean:.4g}"
    half = (value.high - value.low) / 2
    digits = _decimals(value.mean)
    return f"{value.mean:.{digits}f} ±{half:.{digits}f}"


def _decimals(value: float) -> int:
    """Digits after the point that make four significant ones, three at least below 1."""
    whole = len(str(int(abs(value))))
    return max(0, 4 - whole) if abs(value) >= 1 else 4


def _notes(result: Result) -> list[str]:
    samples, reduce = result.protocol["samples"], result.protocol["reduce"]
    best_by = " and ".join(result.protocol["best_by"])
    how = {
        "single": "one future per sequence",
        "mean": f"mean of {samples} samples",
        "best-of": f"best of {samples} samples by {best_by}, each for itself; else their mean",
    }[reduce]
    notes = [f"metric set {result.protocol['metrics']}; {how}; ± is half of a 95 % interval"]
    if not result.complete:
        used, there = result.data.sequences, result.data.available
        notes.append(
            f"only the first {used:,} of {there:,} sequences: compares with no full result"
        )
    notes += [f"{key} is left out: {reason}" for key, reason in result.omitted.items()]
    notes += [f"protocol: {note}" for note in result.notes]
    return notes + [f"data: {note}" for note in result.data.notes]
