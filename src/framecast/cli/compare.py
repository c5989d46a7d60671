"""`framecast compare`: results of several models beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.table import Table
from tyro.conf import Positional

from framecast.cli import terminal
from framecast.cli.options import OUT, parse
from framecast.errors import FolderError, FramecastError

if TYPE_CHECKING:
    from framecast.evaluation.comparison.grids import Grid
    from framecast.evaluation.comparison.loading import Entry
    from framecast.evaluation.comparison.section import Section

PAGE, BLIND = Path("compare.html"), Path("blind.html")
RESULTS = tyro.conf.arg(metavar="[NAME=]FOLDER …")


@dataclass(frozen=True)
class Compare:
    """Compare results that `framecast evaluate` left: tables, tests, curves and strips as one page.

    Results of different protocols, data or numbers of sequences come into separate tables. Every
    model is called by its type, or by NAME where it is given as NAME=FOLDER.
    """

    results: Annotated[Positional[tuple[str, ...]], RESULTS]
    """Folders of results."""
    out: Annotated[Path | None, OUT] = None
    """The page, NAME.html; NAME.md is written beside it. compare.html if not given; blind.html with
    --blind."""
    title: str = "Comparison"
    """Heading of the page."""
    blind: bool = False
    """Of two models: a page that shows both predictions of a sequence side by side without saying
    whose is whose, asks which is better, counts, and tells at the end."""
    seed: int = 0
    """Draws the resamples of the tests, and the order and sides of --blind."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Compare, print the tables and say where the page is."""
    options = parse(Compare, "compare", argv)
    if not options.results:
        raise FramecastError(
            "name folders that framecast evaluate left: framecast compare FOLDER FOLDER"
        )
    out = options.out or (BLIND if options.blind else PAGE)
    if out.suffix != ".html":
        raise FramecastError(f"the page is an .html file, got {out}; give --out NAME.html")
    places = [place(text) for text in options.results]
    from framecast.evaluation.comparison.loading import load

    entries = load(places)
    if options.blind:
        _blind(entries, out, options)
    else:
        _report(entries, out, options)
    return 0


def place(text: str) -> tuple[str | None, Path]:
    """`FOLDER`, or `NAME=FOLDER`; a folder that exists is taken as it is, whatever its name.

    Raises:
        FolderError: if nothing is there.
    """
    name, equals, folder = text.partition("=")
    named = equals and name.strip() and not Path(text).exists()
    path = Path(folder if named else text)
    if not path.exists():
        raise FolderError(f"there is no folder {path}; give one that framecast evaluate left")
    return name.strip() if named else None, path


def _report(entries: "list[Entry]", out: Path, options: Compare) -> None:
    from framecast.evaluation.comparison import files
    from framecast.evaluation.comparison.grouping import groups
    from framecast.evaluation.comparison.page import report
    from framecast.evaluation.comparison.section import section
    from framecast.evaluation.comparison.text import document, markdown

    tables = out.with_suffix(".md")
    files.check(out, tables)
    sections = [section(group, options.seed) for group in groups(entries)]
    files.write(out, report(sections, options.title))
    files.write(tables, markdown(sections, options.title))
    wrote = [str(out), str(tables)]
    lines = [line for each in sections for line in _lines(each)]
    found = {"wrote": wrote, "protocols": document(sections)}
    terminal.show(found, [*lines, f"wrote {out} and {tables}"], options.json)


def _blind(entries: "list[Entry]", out: Path, options: Compare) -> None:
    from framecast.evaluation.comparison import files
    from framecast.evaluation.comparison.blind import GENERATOR, blind

    files.check(out, generator=GENERATOR)
    page, trials = blind(entries, options.title, options.seed)
    files.write(out, page, GENERATOR)
    found = {"wrote": [str(out)], "pairs": trials}
    terminal.show(found, [f"{trials} pairs of videos", f"wrote {out}"], options.json)


def _lines(section: "Section") -> list[str | Table]:
    """The tables of a section with their notes."""
    from framecast.evaluation.report import title

    lines: list[str | Table] = [title(section.group.first)]
    if section.group.apart:
        lines.append(section.group.apart)
    for grid in (section.table, *section.others, section.pair_table, *section.papers):
        if grid is not None:
            lines += _grid(grid)
    return lines


def _grid(grid: "Grid") -> list[str | Table]:
    found = grid.plain()
    title = [found.title] if found.title else []
    notes = [f"note: {note}" for note in found.notes]
    return [*title, terminal.table(found.columns, found.rows), *notes, ""]
