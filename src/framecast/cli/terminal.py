"""What is printed: results on stdout, progress on stderr, one JSON document where that is asked."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

WORD = re.compile("[A-Za-z]{3}")
"""What a number with its unit does not have."""

PIPED_WIDTH = 200
"""Characters in a line of a table that goes to a file or another program."""


Advance = Callable[[int, int], None]
"""Tells a progress bar how many steps are done, and of how many."""


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """A bar on stderr with rate and time left; nothing where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bars:
        task = bars.add_task(what, total=total)

        def advance(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield advance


def show(document: Any, lines: Iterable[str | Table], as_json: bool) -> None:
    """Print a result: the document for programs, or the lines and tables for people."""
    if as_json:
        print(json.dumps(_finite(document), indent=1, default=_plain, allow_nan=False))
        return
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = _Console(highlight=False, soft_wrap=True, width=width)
    for line in lines:
        print(line) if isinstance(line, str) else console.print(line)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Table:
    """A table without frame: the first column names, the others are right-aligned if numeric."""
    rows = [tuple(row) for row in rows]
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        numeric = number > 0 and all(_numeric(row[number]) for row in rows)
        justify = "right" if numeric else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def listing(entries: dict[str, str], kind: str) -> Table:
    """Names with a line on each."""
    return table((kind, ""), entries.items())


def note(line: str) -> None:
    """Say something on stderr while work goes on."""
    print(line, file=sys.stderr)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the answer to `main`."""
        raise BrokenPipeError


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.3g}/s")


def _numeric(text: str) -> bool:
    begins = text.strip("-") == "" or text.lstrip("-+")[:1].isdigit()
    return begins and not WORD.search(text)


def _finite(value: Any) -> Any:
    """The same without what JSON cannot hold: infinities and NaN become null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
