"""How the tables and figures of the five papers, and our own, are made: trained and measured how.

`framecast reproduce` shows the commands, and runs them. The entries of a paper stand in the file of
its model, our own in `framecast.py`; nothing heavy is imported before a command runs.
"""

import importlib
import re

from framecast.errors import ConfigError
from framecast.published import PAPERS
from framecast.registry import suggest
from framecast.reproduction.entries import (
    SCALES,
    Entry,
    Line,
    Measure,
    Part,
    Scale,
    Training,
    View,
)
from framecast.reproduction.planning import Place, Plan, Step, plan
from framecast.reproduction.sources import COLLECTIONS

__all__ = [
    "COLLECTIONS",
    "PAPERS",
    "SCALES",
    "Entry",
    "Line",
    "Measure",
    "Part",
    "Place",
    "Plan",
    "Scale",
    "Step",
    "Training",
    "View",
    "entries",
    "find",
    "plan",
]


def entries(paper: str) -> tuple[Entry, ...]:
    """The tables and figures of a paper, or our own, in order.

    Raises:
        ConfigError: if there is no such paper.
    """
    if paper not in COLLECTIONS:
        raise ConfigError(f"there is no paper {paper!r}; {suggest(paper, COLLECTIONS)}")
    return importlib.import_module(f"{__name__}.{paper.replace('-', '_')}").ENTRIES


def find(paper: str, name: str) -> Entry:
    """A table or figure: `table2`, `Table 2` or `2`; `figure7`, `fig7`.

    Raises:
        ConfigError: if the paper has none of that name.
    """
    word, number = re.sub(r"[\s._-]", "", name.lower()), ""
    if match := re.fullmatch(r"(table|figure|fig|)(\d+)", word):
        word, number = match.groups()
        word = {"": "table", "fig": "figure"}.get(word, word)
    known = {entry.name: entry for entry in entries(paper)}
    if word + number not in known:
        raise ConfigError(f"{paper} has no {name!r}; {suggest(word + number, known)}")
    return known[word + number]
