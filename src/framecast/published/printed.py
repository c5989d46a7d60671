"""The files of published figures: a table as it is printed, row by row and cell by cell."""

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from framecast.config import from_json, parse
from framecast.errors import ConfigError


class Figure(float):
    """A number as it is printed, with the zeros at its end."""

    def __new__(cls, text: str) -> "Figure":
        """Read it."""
        figure = super().__new__(cls, text)
        figure.text = text
        return figure

    def __repr__(self) -> str:
        """The text."""
        return self.text

    def __getnewargs__(self) -> tuple[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What a copy is made of."""
        return (self.text,)

    text: str


Cell = float | str | None
"""A number; a text that is none; None for a cell without either."""


@dataclass(frozen=True)
class Part:
    """What of a table belongs to one dataset and task."""

    key: str
    """Name of the part; empty where the table has one only."""
    title: str = ""
    """Dataset and task."""
    protocol: str | None = None
    """Registered protocol of the same data and task."""
    faults: tuple[str, ...] = ()
    """What is wrong or open in this part."""


@dataclass(frozen=True)
class Column:
    """A column of figures."""

    label: str
    """As printed, with the unit."""
    about: str
    """What it is: unit, direction, factor, definition as far as it is known."""
    part: str | None = None
    """The part that it belongs to; None for all."""
    metric: str = ""
    """Key of our metric; empty where we compute none that compares."""
    frame: int | None = None
    """Of a single frame: its number, the first observed one being 1; None for means over time."""


@dataclass(frozen=True)
class PrintedRow:
    """A row of a table."""

    method: str
    """As printed."""
    values: tuple[Cell, ...]
    """One cell for each column."""
    model: str | dict[str, str] | None = None
    """Registered name or preset; by part, where it differs."""
    deviations: dict[str, float] = field(default_factory=dict)
    """What stands behind ±, by column."""
    note: str = ""
    """What has to be known about the row."""

    def cell(self, table: "Printed", column: Column) -> Cell:
        """What stands in a column."""
        return self.values[table.columns.index(column)]


@dataclass(frozen=True)
class Printed:
    """A printed table."""

    name: str
    """`table2`, `figure7`, `section5.2`."""
    source: str
    """As the paper calls it: `Table 2`."""
    title: str
    """What it shows."""
    parts: tuple[Part, ...]
    """At least one."""
    columns: tuple[Column, ...]
    """All but the first one, which names the methods."""
    rows: tuple[PrintedRow, ...]
    """In the printed order."""
    page: int | None = None
    """Page of the paper, if known."""
    faults: tuple[str, ...] = ()
    """What is wrong or open."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a table.

        Raises:
            ConfigError: one line that names the row or column.
        """
        names = [self.name_of(column) for column in self.columns]
        keys = [part.key for part in self.parts]
        if len(set(names)) < len(names) or len(set(keys)) < len(keys) or not keys:
            raise ConfigError(f"{self.name}: parts, and columns of a part, have names of their own")
        for column in self.columns:
            if column.part is not None and column.part not in keys:
                raise ConfigError(f"{self.name}: {column.label} is of no part {column.part!r}")
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise ConfigError(
                    f"{self.name}: {row.method} has {len(row.values)} cells, "
                    f"the table has {len(self.columns)} columns"
                )
            unknown = [*set(row.deviations) - set(names)]
            if isinstance(row.model, dict):
                unknown += [*set(row.model) - set(keys)]
            if unknown:
                raise ConfigError(f"{self.name}: {row.method} names {unknown[0]!r}, which is none")

    @staticmethod
    def name_of(column: Column) -> str:
        """What tells a column from the others: `PART/LABEL`, or the label alone."""
        return f"{column.part}/{column.label}" if column.part else column.label


@dataclass(frozen=True)
class Paper:
    """A paper and its tables."""

    paper: str
    """Name of its model."""
    citation: str
    """Authors, title, place and year."""
    short: str
    """Authors and year, for footnotes."""
    tables: tuple[Printed, ...]
    """In the printed order."""
    faults: tuple[str, ...] = ()
    """What holds for all of its tables."""


@lru_cache
def read(paper: str) -> Paper:
    """The file of a paper.

    Raises:
        ConfigError: if the file is not of this form.
    """
    file = resources.files("framecast") / "published" / f"{paper}.json"
    found = from_json(Paper, parse(file.read_text(encoding="utf-8"), Figure), f"{paper}.json")
    if found.paper != paper:
        raise ConfigError(f"{paper}.json is of {found.paper}")
    return found
