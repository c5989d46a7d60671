"""Tables as texts, for pages, Markdown and terminals alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from framecast.evaluation.report import Table


@dataclass(frozen=True)
class Cell:
    """One figure or text."""

    text: str
    best: bool = False
    more: str = ""  # what a page shows besides


@dataclass(frozen=True)
class Grid:
    """A table whose first column names its rows."""

    title: str
    columns: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    models: int | None = None
    """How many rows come before the baselines; None where there are no baselines."""

    def markdown(self, heading: str = "####") -> str:
        """As Markdown, the best in bold."""
        lines = [self.columns, tuple(Cell("---") for _ in self.columns), *self.rows]
        table = ["| " + " | ".join(map(_marked, line)) + " |" for line in lines]
        notes = [f"- {escaped(note)}" for note in self.notes]
        parts = [[f"{heading} {escaped(self.title)}"] if self.title else [], table, notes]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def plain(self) -> Table:
        """As texts alone, the best with a star."""
        return Table(
            self.title,
            tuple(cell.text for cell in self.columns),
            tuple(
                tuple(f"{cell.text} *" if cell.best else cell.text for cell in row)
                for row in self.rows
            ),
            self.notes,
        )


def cells(texts: Sequence[str]) -> tuple[Cell, ...]:
    """Plain cells."""
    return tuple(map(Cell, texts))


def escaped(text: str) -> str:
    """A text that Markdown shows as it is."""
    for mark in ("\\", "`", "*", "_", "[", "]", "<", "|", "&", "~", "$"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _marked(cell: Cell) -> str:
    text = cell.text if cell.text == "---" else escaped(cell.text)
    return f"**{text}**" if cell.best else text
