"""Figures that papers printed for a protocol, with their source and what is wrong with them."""

from collections.abc import Iterator, Mapping

from framecast import published
from framecast.evaluation.comparison.grids import Cell, Grid
from framecast.evaluation.result import MetricInfo
from framecast.published import Table


def grids(protocol: str, infos: Mapping[str, MetricInfo]) -> Iterator[Grid]:
    """What is printed for a protocol; where nothing is, what is printed for its next relatives."""
    exact = published.for_protocol(protocol)
    for table in exact:
        yield grid(table, infos)
    for table in () if exact else published.near_protocol(protocol):
        apart = f"Of the protocol {table.protocol}: its figures do not compare with those above."
        yield grid(table, infos, apart)


def grid(table: Table, infos: Mapping[str, MetricInfo], *notes: str) -> Grid:
    """A printed table: never measured here, and set apart from what is."""
    labels = list(table.metrics)
    ours = {label: infos[key].label for label, key in table.metrics.items() if key in infos}
    columns = [
        Cell("as printed"),
        *(Cell(label, more=_more(table, label, ours)) for label in labels),
    ]
    rows, remarks = [], []
    for row in table.rows:
        mark = ""
        if row.note:
            mark = f" [{len(remarks) + 1}]"
            remarks.append(f"[{len(remarks) + 1}] {row.method}: {row.note}")
        rows.append((Cell(row.method + mark), *(Cell(row.cell(label)) for label in labels)))
    page = f", p. {table.page}" if table.page else ""
    title = f"{table.source or table.paper + ', ' + table.name}{page}: {table.title}"
    return Grid(title, tuple(columns), tuple(rows), (*notes, *remarks, *table.faults))


def _more(table: Table, label: str, ours: Mapping[str, str]) -> str:
    beside = f"beside our {ours[label]}" if label in ours else ""
    return "; ".join(part for part in (table.columns.get(label, ""), beside) if part)
