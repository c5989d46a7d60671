"""All that is said about one group of results: facts, tables, tests and notes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from framecast import listing
from framecast.config import from_json
from framecast.evaluation.comparison import pairs as testing
from framecast.evaluation.comparison.codes import codec_grid, likelihood_grid
from framecast.evaluation.comparison.costs import work
from framecast.evaluation.comparison.grids import Cell, Grid, cells
from framecast.evaluation.comparison.grouping import Group
from framecast.evaluation.comparison.lines import Line, disagreeing, lines, metrics, ranked
from framecast.evaluation.comparison.pairs import Pair, Verdict, p_value
from framecast.evaluation.comparison.papers import grids as paper_grids
from framecast.evaluation.comparison.training import training_grid
from framecast.evaluation.corruption import Corruption
from framecast.evaluation.report import cell, decimals, heading, how, not_numbers, rate
from framecast.evaluation.result import MetricInfo, Row

COPY_LAST = "copy-last"
MEGA, GIGA = 1_000_000, 1_000_000_000


@dataclass(frozen=True)
class Section:
    """What is said about results that compare."""

    group: Group
    about: str  # what the protocol is, in a line
    facts: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]  # in the order of the table
    infos: Mapping[str, MetricInfo]
    pairs: Mapping[str, tuple[Pair, ...]]
    verdicts: Mapping[str, Verdict]
    work: Mapping[str, int]  # multiply–adds of a prediction, by line, where they can be counted
    table: Grid
    others: tuple[Grid, ...]  # single frames, samples reduced otherwise, codes, training
    papers: tuple[Grid, ...]

    @property
    def title(self) -> str:
        """The protocol's name."""
        return self.group.first.name

    @property
    def first_metric(self) -> str | None:
        """The first metric that ranks, by which the table is sorted."""
        ranking = (key for key, info in self.infos.items() if info.higher_is_better is not None)
        return next(ranking, None)

    @property
    def pair_table(self) -> Grid | None:
        """Every tested pair with its difference by every metric; None where nothing is tested."""
        if not self.pairs:
            return None
        keys = list(self.pairs)
        names = dict.fromkeys((p.first, p.second) for found in self.pairs.values() for p in found)
        by = {(key, p.first, p.second): p for key in keys for p in self.pairs[key]}
        rows = [
            (Cell(f"{a} − {b}"), *(Cell(_difference(by.get((key, a, b)))) for key in keys))
            for a, b in names
        ]
        columns = cells(("", *(heading(self.infos[key]) for key in keys)))
        resamples = next(p.found.resamples for found in self.pairs.values() for p in found)
        note = (
            "mean difference [95 % interval] and p-value; paired bootstrap over sequences with "
            f"{resamples:,} resamples, p adjusted after Holm for all pairs of a metric"
        )
        return Grid("Differences on the same sequences", columns, tuple(rows), (note,))


def section(group: Group, seed: int) -> Section:
    """Compare the results of a group.

    Args:
        group: Results of one protocol, one dataset and the same sequences.
        seed: Draws the resamples of the tests.
    """
    infos = metrics(group)
    ordered = _ordered(lines(group), infos)
    found = testing.compared(ordered, infos, seed)
    verdicts = {
        key: each
        for key, info in infos.items()
        if (each := testing.verdict(ordered, key, info, found.get(key, ()))) is not None
    }
    counted = {
        line.name: count
        for line in ordered
        if line.model and (count := work(line.entry.result)) is not None
    }
    return Section(
        group=group,
        about=_about(group.first.name),
        facts=tuple(_facts(group)),
        lines=tuple(ordered),
        infos=infos,
        pairs=found,
        verdicts=verdicts,
        work=counted,
        table=_table(group, ordered, infos, verdicts, counted),
        others=tuple(_others(group, ordered, infos)),
        papers=tuple(paper_grids(group.first.name, infos)),
    )


def _ordered(found: Sequence[Line], infos: Mapping[str, MetricInfo]) -> list[Line]:
    """Models from the best to the worst by the first metric, then baselines."""
    models = [line for line in found if line.model]
    for key, info in infos.items():
        if info.higher_is_better is not None:
            order = ranked(models, key, info.higher_is_better)
            models = order + [line for line in models if line not in order]
            break
    return models + [line for line in found if not line.model]


def _about(name: str) -> str:
    """What a protocol is, unless something of it was changed."""
    return listing.protocols().get(re.split("[:+]", name)[0], "")


def _facts(group: Group) -> Iterator[tuple[str, str]]:
    result, protocol = group.first, group.first.protocol
    context, horizon = protocol["context"], protocol["horizon"]
    yield "frames", f"{context} observed → {horizon} {'predicted' if result.predicted else 'more'}"
    share = "" if result.complete else f" of {result.data.available:,}: the first ones, partial"
    yield "sequences", f"{result.data.sequences:,}{share}"
    yield "scored", how(result)
    if size := protocol.get("resize") or protocol["size"]:
        yield "size", f"{size[0]}×{size[1]}"
    yield "metric set", protocol["metrics"]
    if found := protocol.get("corruption"):
        yield "given frames", f"{from_json(Corruption, found).words}; scored against clean ones"
    yield "data", f"{protocol['data']['type']}, split {protocol['split']}"
    yield "data fingerprint", result.data.fingerprint[:12]


# ---- the table


def _table(
    group: Group,
    ordered: Sequence[Line],
    infos: Mapping[str, MetricInfo],
    verdicts: Mapping[str, Verdict],
    counted: Mapping[str, int],
) -> Grid:
    ranking = {key: info for key, info in infos.items() if info.higher_is_better is not None}
    columns = [Cell(""), *_headings(ranking)]
    columns.append(Cell("parameters"))
    if counted:
        columns.append(Cell("multiply–adds"))
    columns.append(Cell("frames/s"))
    rows = []
    for line in ordered:
        bests = {key for key, each in verdicts.items() if each.best == line.name}
        values = [
            Cell(
                cell(line.row.values.get(key), line.row.folds.get(key)),
                key in bests,
                _bounds(line, key),
            )
            for key in ranking
        ]
        rows.append((Cell(line.name), *values, *_costs(line, counted)))
    notes = tuple(_notes(group, ordered, infos, verdicts))
    models = sum(line.model for line in ordered)
    return Grid("", tuple(columns), tuple(rows), notes, models if models < len(ordered) else None)


def _costs(line: Line, counted: Mapping[str, int]) -> list[Cell]:
    result = line.entry.result
    if not line.model:
        return list(cells("–" * (3 if counted else 2)))
    count = result.model.parameters
    found = [Cell(millions(count), more=f"{count:,} parameters")]
    if counted:
        each = counted.get(line.name)
        found.append(Cell("–" if each is None else f"{each / GIGA:.3g}G"))
    found.append(Cell(rate(result.run.frames_per_second), more=f"on {result.run.device}"))
    return found


def millions(count: int) -> str:
    """A number of parameters in millions, small ones in digits."""
    return f"{count / MEGA:.3g}M" if count >= MEGA / 100 else f"{count:,}"


def _bounds(line: Line, key: str) -> str:
    value = line.row.values.get(key)
    if value is None or value.low is None or value.high is None or value.mean is None:
        return ""
    digits = decimals(value.mean)
    return f"95 % interval {value.low:.{digits}f} to {value.high:.{digits}f}"


def _headings(infos: Mapping[str, MetricInfo]) -> tuple[Cell, ...]:
    return tuple(Cell(heading(info), more=_definition(info)) for info in infos.values())


def _definition(info: MetricInfo) -> str:
    return "; ".join(
        f"{key}: {value}" for key, value in info.definition.items() if value is not None
    )


# ---- notes


def _notes(
    group: Group,
    ordered: Sequence[Line],
    infos: Mapping[str, MetricInfo],
    verdicts: Mapping[str, Verdict],
) -> Iterator[str]:
    result = group.first
    yield (
        "mean over frames and sequences ± half of its 95 % interval; ↑ and ↓ say which direction "
        "is better; marked is the best where a paired test tells it from the second (p < 0.05)"
    )
    yield from (each.words for each in verdicts.values() if each.words)
    kinds = {line.entry.result.model.kind if line.model else line.name for line in ordered}
    if result.predicted and COPY_LAST not in kinds:
        yield (
            f"copy-last is missing, without which no figure says much: framecast evaluate "
            f"copy-last --protocol {result.name}"
        )
    for line in ordered:
        if unknown := not_numbers(line.row, infos):
            yield f"{line.name}: {unknown}"
    for name in disagreeing(group):
        yield f"{name} differs between results of equal data and protocol: do not trust them"
    yield from _shared(group, "protocol", [entry.result.notes for entry in group.entries])
    yield from _shared(group, "data", [entry.result.data.notes for entry in group.entries])
    left_out = [
        [f"{key} is left out: {reason}" for key, reason in entry.result.omitted.items()]
        for entry in group.entries
    ]
    yield from _shared(group, "", left_out)
    yield _machines(group)


def _shared(group: Group, what: str, notes: Sequence[Sequence[str]]) -> Iterator[str]:
    """Notes of all results, with the names of those that they hold for where not for all."""
    for note in dict.fromkeys(note for each in notes for note in each):
        names = [e.label for e, each in zip(group.entries, notes, strict=True) if note in each]
        whose = "" if len(names) == len(notes) else f" ({', '.join(names)})"
        yield f"{what}{whose}: {note}" if what else f"{note}{whose}"


def _machines(group: Group) -> str:
    runs = [entry.result.run for entry in group.entries]
    devices = ", ".join(dict.fromkeys(run.device for run in runs))
    versions = ", ".join(dict.fromkeys(run.versions.get("framecast", "?") for run in runs))
    return (
        f"frames/s are those of each evaluation, on {devices}: they compare only where the machine "
        f"was one and had nothing else to do; framecast {versions}"
    )


# ---- other tables


def _others(
    group: Group, ordered: Sequence[Line], infos: Mapping[str, MetricInfo]
) -> Iterator[Grid]:
    describing = {key: info for key, info in infos.items() if info.higher_is_better is None}
    if describing:
        rows = tuple(_row(line.name, line.row, describing) for line in ordered)
        yield Grid("Describing, not ranking", (Cell(""), *_headings(describing)), rows)
    columns = (Cell(""), *_headings(infos))
    if frames := _frames(group, ordered, infos):
        yield Grid("Single frames that the protocol reports", columns, frames)
    reductions = [
        _row(row.name.replace(line.row.name, line.name, 1), row, infos)
        for line in ordered
        if line.model
        for row in line.entry.result.rows
        if row.role == "reduction"
    ]
    if reductions:
        yield Grid("Samples reduced otherwise", columns, tuple(reductions))
    for grid in (codec_grid(ordered), likelihood_grid(ordered), training_grid(ordered)):
        if grid is not None:
            yield grid


def _frames(
    group: Group, ordered: Sequence[Line], infos: Mapping[str, MetricInfo]
) -> tuple[tuple[Cell, ...], ...]:
    """The rows of frames that a protocol reports; they count from the first observed one."""
    protocol = group.first.protocol
    unscored = protocol["context"] if group.first.predicted else 0
    rows = []
    for frame in protocol.get("report_frames", ()):
        at = frame - unscored - 1
        for line in ordered:
            curves = line.row.curves
            values = [curves[key][at] if at < len(curves.get(key, ())) else None for key in infos]
            if at >= 0 and any(value is not None for value in values):
                rows.append((Cell(f"{line.name}, t = {frame}"), *cells([cell(v) for v in values])))
    return tuple(rows)


def _row(name: str, row: Row, infos: Mapping[str, MetricInfo]) -> tuple[Cell, ...]:
    return (Cell(name), *cells([cell(row.values.get(key), row.folds.get(key)) for key in infos]))


def _difference(pair: Pair | None) -> str:
    if pair is None:
        return "–"
    found = pair.found
    bounds = f"{signed(found.low)}, {signed(found.high)}"
    return f"{signed(found.difference)} [{bounds}], p {p_value(pair.p)}"


def signed(value: float) -> str:
    """A difference in three digits, always with its sign."""
    return f"{value:+.3g}".replace("-", "−")
