"""The tables of the five papers as data: every figure, its source, and what is wrong with it.

One JSON file per paper, in the form of `framecast.published.printed`. Nothing heavy is imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from framecast.errors import ConfigError
from framecast.published.printed import Column, Figure, Paper, Part, Printed, PrintedRow, read
from framecast.registry import suggest

PAPERS: tuple[str, ...] = ("s-hr-vqvae", "video-vqvae", "stip", "haf-svg", "v3d-convlstm")
"""The papers, by the name of their model."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    method: str
    """As the paper has it."""
    model: str | None
    """Registered name or preset here, if there is one."""
    values: Mapping[str, float]
    """Figures by column label, as printed; cells without a figure are left out."""
    deviations: Mapping[str, float]
    """What stands behind ±, by column label."""
    note: str
    """What has to be known about this line; empty if nothing."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Cells that are no number, by column label."""

    def cell(self, label: str) -> str:
        """What stands in a column, with what stands behind ±; a dash for nothing."""
        if label not in self.values:
            return self.texts.get(label, "–")
        figures = (self.values[label], self.deviations.get(label))
        return " ±".join(_digits(figure) for figure in figures if figure is not None)


@dataclass(frozen=True)
class Table:
    """A printed table, or the part of one that belongs to one dataset and task."""

    paper: str
    """One of `PAPERS`."""
    name: str
    """`table2`, `figure7` or `section5.2`; parts of one table share it."""
    title: str
    """What is shown, and of a part what of it."""
    page: int | None
    """Page of the paper, if known."""
    protocol: str | None
    """Our protocol of the same data and task, if there is one; `faults` says what differs."""
    metrics: Mapping[str, str]
    """By column label, the key of our metric; empty where we compute none that compares."""
    faults: tuple[str, ...]
    """What contradicts itself, is left open, or cannot be compared."""
    rows: tuple[Row, ...]
    """In the table's order."""
    part: str = ""
    """Name of the part, where the table has several."""
    source: str = ""
    """Authors, year and number of the table, for a footnote."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """By column label, what it is: unit, direction, factor."""
    frames: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """Columns of a single frame: our metric's key and the frame, where the first observed one is 1.
    They are empty in `metrics`, for they are no means over time."""


def _digits(value: float) -> str:
    """All digits of a number, as they are printed."""
    return value.text if isinstance(value, Figure) else f"{value:.15g}"


def tables(paper: str | None = None) -> tuple[Table, ...]:
    """The tables of a paper, or of all, in the order in which they are printed.

    Raises:
        ConfigError: if there is no such paper.
    """
    names = PAPERS if paper is None else (paper,)
    return tuple(
        _table(document, printed, part)
        for document in map(about, names)
        for printed in document.tables
        for part in printed.parts
    )


def for_protocol(name: str) -> tuple[Table, ...]:
    """The tables whose figures belong beside results of a protocol."""
    return tuple(table for table in tables() if table.protocol == name)


def near_protocol(name: str) -> tuple[Table, ...]:
    """The tables of the same data and lengths under another protocol, whose figures do not compare.

    Protocols are near where their names are the same up to an `@`.
    """
    base = name.partition("@")[0]
    found = ((table, table.protocol or "") for table in tables())
    return tuple(t for t, other in found if other != name and other.partition("@")[0] == base)


def about(paper: str) -> Paper:
    """A paper: who, when, and its tables as they are printed.

    Raises:
        ConfigError: if there is no such paper.
    """
    if paper not in PAPERS:
        raise ConfigError(f"there is no paper {paper!r}; {suggest(paper, PAPERS)}")
    return read(paper)


def _table(paper: Paper, printed: Printed, part: Part) -> Table:
    own = [column for column in printed.columns if column.part == part.key]
    columns = [column for column in printed.columns if column.part in (None, part.key)]
    rows = (
        _row(printed, row, columns, part.key)
        for row in printed.rows
        if any(row.cell(printed, column) is not None for column in own or columns)
    )
    return Table(
        paper=paper.paper,
        name=printed.name,
        title=": ".join(title for title in (printed.title, part.title) if title),
        page=printed.page,
        protocol=part.protocol,
        metrics={c.label: c.metric if c.frame is None else "" for c in columns},
        faults=(*part.faults, *printed.faults, *paper.faults),
        rows=tuple(rows),
        part=part.key,
        source=f"{paper.short}, {printed.source}",
        columns={c.label: c.about for c in columns},
        frames={c.label: (c.metric, c.frame) for c in columns if c.frame},
    )


def _row(printed: Printed, row: PrintedRow, columns: list[Column], part: str) -> Row:
    cells = {column.label: row.cell(printed, column) for column in columns}
    ranges = {column.label: row.deviations.get(printed.name_of(column)) for column in columns}
    return Row(
        method=row.method,
        model=row.model.get(part) if isinstance(row.model, dict) else row.model,
        values={label: v for label, v in cells.items() if isinstance(v, float)},
        deviations={label: v for label, v in ranges.items() if v is not None},
        note=row.note,
        texts={label: v for label, v in cells.items() if isinstance(v, str)},
    )
