"""Results as tables: for terminals, and as Markdown."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from framecast.config import from_json
from framecast.evaluation.corruption import Corruption
from framecast.evaluation.result import (
    CodecInfo,
    Interval,
    LikelihoodInfo,
    MetricInfo,
    Result,
    Row,
)
from framecast.wording import counted

Published = Mapping[str, Mapping[str, float]]
"""Figures of papers: by name of the line, then by metric."""
_BEYOND = " (*: so few samples do not resolve it)"


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
        Means over frames and sequences with the half-width of their 95 % intervals, and such means
        of single frames where the protocol reports some. ↑ and ↓ say which direction is better.
    """
    keys = list(result.metrics)
    names = tuple(heading(result.metrics[key]) for key in keys)
    rows = [cells for row in result.rows for cells in _lines(result, row, keys)]
    for name, figures in (published or {}).items():
        known = (f"{figures[key]:.4g}" if key in figures else "–" for key in keys)
        rows.append((f"{name} (published)", *known))
    return Table(title(result), ("", *names), tuple(rows), tuple(_notes(result)))


def title(result: Result) -> str:
    """The protocol, and on how many sequences."""
    share = "" if result.complete else f" of {result.data.available:,}: partial"
    return f"{result.name}, {counted(result.data.sequences, 'sequence')}{share}"


def markdown(result: Result, published: Published | None = None) -> str:
    """The table as Markdown, with its title above and its notes below."""
    found = table(result, published)
    lines = [found.columns, ("---",) * len(found.columns), *found.rows]
    body = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]
    notes = [f"- {note}" for note in found.notes]
    return "\n".join([f"### {found.title}", "", *body, "", *notes]) + "\n"


def _lines(result: Result, row: Row, keys: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The means of a row, and below them the frames that its protocol reports by themselves."""
    yield row.name, *(cell(row.values.get(key), row.folds.get(key)) for key in keys)
    unscored = result.protocol["context"] if result.predicted else 0
    for frame in result.protocol.get("report_frames", ()):
        at = frame - unscored - 1
        scored = {key: curve[at] for key, curve in row.curves.items() if 0 <= at < len(curve)}
        if scored:
            yield f"{row.name}, t = {frame}", *(cell(scored.get(key)) for key in keys)


def heading(info: MetricInfo) -> str:
    """A metric with its unit, and an arrow to where it is better."""
    arrow = {True: " ↑", False: " ↓", None: ""}[info.higher_is_better]
    unit = f", {info.unit}" if info.unit else ""
    return f"{info.label}{unit}{arrow}"


def cell(value: Interval | None, folds: Sequence[float] | None = None) -> str:
    """A mean with the half-width of its interval, or with the folds that it is the mean of."""
    if value is None:
        return "–"
    if value.mean is not None and folds:
        return f"{value.mean:.4g} ({', '.join(f'{fold:.4g}' for fold in folds)})"
    if value.mean is None:
        return "∞" if value.infinite else "–"
    if value.low is None or value.high is None:
        return f"{value.mean:.4g}"
    half = (value.high - value.low) / 2
    digits = decimals(value.mean)
    return f"{value.mean:.{digits}f} ±{half:.{digits}f}"


def not_numbers(row: Row, infos: Mapping[str, MetricInfo]) -> str:
    """A note on means that are no numbers; empty where all are."""
    keys = [key for key, value in row.values.items() if value.mean is None and not value.infinite]
    labels = [infos[key].label for key in keys if key in infos]
    return f"{', '.join(labels)}: not a number, of some sequence at least" if labels else ""


def rate(value: float) -> str:
    """A speed in three digits at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def decimals(value: float) -> int:
    """Digits after the point that make four significant ones, three at least below 1."""
    if value == 0 or not math.isfinite(value):
        return 4
    leading = math.floor(math.log10(abs(value)))
    return max(0, 3 - leading) if leading >= 0 else max(4, 2 - leading)


def _notes(result: Result) -> list[str]:
    notes = [
        f"metric set {result.protocol['metrics']}; {how(result)}; ± is half of a 95 % interval"
    ]
    if found := result.protocol.get("corruption"):
        what = "observed frames" if result.predicted else "encoded frames"
        words = from_json(Corruption, found).words
        notes.append(f"{what} are corrupted ({words}), and scores are against clean ones")
    unknown = {row.name: not_numbers(row, result.metrics) for row in result.rows}
    notes += [f"{name}: {words}" for name, words in unknown.items() if words]
    notes += _distance_notes(result)
    if result.codec is not None:
        notes += _codec_notes(result.codec)
    if result.likelihood is not None:
        notes += _likelihood_notes(result.likelihood)
    notes += _sample_notes(result)
    if not result.complete:
        used, there = result.data.sequences, result.data.available
        notes.append(
            f"only the first {used:,} of {there:,} sequences: compares with no full result"
        )
    notes += [f"{key} is left out: {reason}" for key, reason in result.omitted.items()]
    notes += [f"protocol: {note}" for note in result.notes]
    return notes + [f"data: {note}" for note in result.data.notes]


def how(result: Result) -> str:
    """How the samples of a sequence become one figure."""
    if not result.predicted:
        return "context and horizon, encoded and decoded"
    if result.protocol["reduce"] == "single":
        return "one future per sequence"
    samples = counted(result.protocol["samples"], "sample")
    if result.protocol["reduce"] == "mean":
        return f"mean score of {samples}"
    best_by = " and ".join(result.protocol["best_by"])
    return f"best of {samples} by {best_by}, each for itself; else their mean"


def _sample_notes(result: Result) -> list[str]:
    """How the lines that reduce samples are to be read, and whether samples are calibrated."""
    if (result.protocol.get("samples") or 1) == 1:
        return []
    spread = result.rows[0].values.get("spread")
    if spread is not None and spread.mean == 0:
        return ["all samples are equal: the model predicts one future"]
    notes = [
        "best of N: each metric of the sample that is best by it, ranked by the mean over frames; "
        "mean score of N: the mean of the samples' scores; mean frame of N: the score of the "
        "samples' mean, pixel by pixel; always the first N samples"
    ]
    if (found := result.calibration) is not None:
        shares = ", ".join(
            f"{100 * (each.share.mean or 0):.0f} %{'' if each.resolved else '*'} in the middle "
            f"{100 * each.level:.0f} %"
            for each in found.coverage
        )
        beyond = "" if all(each.resolved for each in found.coverage) else _BEYOND
        notes.append(
            f"calibration: of the values, {shares} of the predicted distribution{beyond}; left "
            f"out are {100 * found.certain:.1f} % of values, where all samples equal the truth"
        )
    return notes


def _distance_notes(result: Result) -> list[str]:
    """What distances between sets are of."""
    labels = [info.label for info in result.metrics.values() if "features" in info.definition]
    if not labels:
        return []
    frames = "observed and predicted frames" if result.predicted else "all frames"
    return [
        f"{'; '.join(labels)}: squared Fréchet distance between features of {frames} of "
        f"{result.data.sequences:,} sequences and of the true ones; fewer make it larger; in "
        "brackets each half of them, beside the mean"
    ]


def _likelihood_notes(found: LikelihoodInfo) -> list[str]:
    """How likely the codes of the true futures are."""
    levels = "; ".join(
        f"level {place}: {cell(level.bits_per_code)}, {level.codes:,} a sequence"
        for place, level in enumerate(found.levels, start=1)
    )
    return [
        f"likelihood of the true futures' codes, each given all before it: "
        f"{cell(found.bits_per_code)} bits per code, {found.bits_per_frame:,.4g} bits per frame "
        f"({levels})"
    ]


def _codec_notes(codec: CodecInfo) -> list[str]:
    """What the codes take, and how each level is used."""
    number = f"{len(codec.levels)} of {counted(codec.available, 'level')}"
    total = (
        f"codes: {number}, {codec.bits_per_frame:,.6g} bits per frame, {codec.compression:.4g} "
        f"times fewer than frames of 8 bits ({codec.raw_bits_per_frame:,.6g})"
    )
    return [total] + [
        f"level {place}: {level.used:,} of {level.values:,} values used, perplexity "
        f"{level.perplexity:.4g}, {level.bits_per_frame:,.6g} bits per frame"
        for place, level in enumerate(codec.levels, start=1)
    ]
