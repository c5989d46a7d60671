"""Whose tables there are: the five papers', and our own."""

from framecast import published

OWN = "framecast"
"""The name of our own tables, where a paper's could stand."""

COLLECTIONS = (*published.PAPERS, OWN)
"""All names."""


def citation(name: str) -> str:
    """What a collection is, in a line."""
    if name == OWN:
        return "Framecast's own tables: all models after equally long trainings"
    return published.about(name).citation


def short(name: str) -> str:
    """What stands before the number of a table."""
    return "Framecast" if name == OWN else published.about(name).short


def printed(name: str, entry: str) -> tuple[published.Table, ...]:
    """The published parts of a table or figure; none of ours."""
    tables = () if name == OWN else published.tables(name)
    return tuple(table for table in tables if table.name == entry)
