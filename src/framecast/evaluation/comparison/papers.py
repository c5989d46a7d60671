"""Figures that papers printed for a protocol, with their source and what is wrong with them."""

from collections.abc import Mapping

from framecast.evaluation.comparison.grids import Cell, Grid
from framecast.evaluation.result import MetricInfo
from framecast.published import Row, Table


def grid(table: Table, infos: Mapping[str, MetricInfo]) -> Grid:
    """A printed table: never measured here, and set apart from what is."""
    labels = list(table.metrics)
    ours = {label: infos[key].label for label, key in table.metrics.items() if key in infos}
    columns = [
        Cell("as printed"),
        *(Cell(label, more=_more(table, label, ours)) for label in labels),
    ]
    rows, notes = [], []
    for row in table.rows:
        mark = ""
        if row.note:
            mark = f" [{len(notes) + 1}]"
            notes.append(f"[{len(notes) + 1}] {row.method}: {row.note}")
        rows.append((Cell(row.method + mark), *(Cell(_figure(row, label)) for label in labels)))
    page = f", p. {table.page}" if table.page else ""
    title = f"{table.source or table.paper + ', ' + table.name}{page}: {table.title}"
    return Grid(title, tuple(columns), tuple(rows), (*notes, *table.faults))


def _more(table: Table, label: str, ours: Mapping[str, str]) -> str:
    beside = f"beside our {ours[label]}" if label in ours else ""
    return "; ".join(part for part in (table.columns.get(label, ""), beside) if part)


def _figure(row: Row, label: str) -> str:
    if label not in row.values:
        return row.texts.get(label, "–")
    deviation = row.deviations.get(label)
    return f"{row.values[label]:g}" + ("" if deviation is None else f" ±{deviation:g}")
