"""A comparison as Markdown, and as plain data for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

from framecast.config import Json, to_json
from framecast.evaluation.comparison.grids import Grid, escaped
from framecast.evaluation.comparison.markup import GENERATOR
from framecast.evaluation.comparison.section import Section
from framecast.evaluation.comparison.training import steps

MARK = f"<!-- {GENERATOR} -->"
"""How Markdown says what it was made by."""


def markdown(sections: Sequence[Section], title: str) -> str:
    """All tables of a comparison."""
    parts = [MARK, f"# {escaped(title)}"]
    for section in sections:
        parts += _section(section)
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def document(sections: Sequence[Section]) -> list[Json]:
    """What the tables say, without rounding."""
    return [
        {
            "protocol": section.title,
            "protocol_hash": section.group.first.protocol_hash,
            "data": section.group.first.data.fingerprint,
            "sequences": section.group.first.data.sequences,
            "apart": section.group.apart,
            "facts": dict(section.facts),
            "rows": [
                {
                    "name": line.name,
                    "role": line.row.role,
                    "folder": line.entry.folder,
                    "values": to_json(line.row.values),
                    **(_costs(section, line.name) if line.model else {}),
                }
                for line in section.lines
            ],
            "best": {key: each.best for key, each in section.verdicts.items()},
            "pairs": {
                key: [
                    {
                        "first": pair.first,
                        "second": pair.second,
                        "difference": pair.found.difference,
                        "low": pair.found.low,
                        "high": pair.found.high,
                        "p": pair.found.p,
                        "p_holm": pair.p,
                    }
                    for pair in found
                ]
                for key, found in section.pairs.items()
            },
            "papers": [_plain(grid) for grid in section.papers],
            "notes": list(section.table.notes),
        }
        for section in sections
    ]


def _costs(section: Section, name: str) -> dict[str, Any]:
    line = next(each for each in section.lines if each.name == name)
    result = line.entry.result
    return {
        "parameters": result.model.parameters,
        "multiply_adds": section.work.get(name),
        "frames_per_second": result.run.frames_per_second,
        "steps": steps(result.model.about),
    }


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    if section.about:
        yield f"{escaped(section.about)}."
    if section.group.apart:
        yield f"> {escaped(section.group.apart)}"
    yield "\n".join(f"- {name}: {escaped(value)}" for name, value in section.facts)
    grids = [section.table, section.pair_table, *section.others]
    yield from (grid.markdown("###") for grid in grids if grid is not None)
    if section.papers:
        yield "### What papers print, not measured here"
        yield from (grid.markdown() for grid in section.papers)


def _plain(grid: Grid) -> Json:
    columns = [cell.text for cell in grid.columns]
    rows = [[cell.text for cell in row] for row in grid.rows]
    return {"title": grid.title, "columns": columns, "rows": rows, "notes": list(grid.notes)}
