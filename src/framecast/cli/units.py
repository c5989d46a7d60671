"""`framecast models --units`: what recurrent units cost, beside what was published."""

from typing import Any

from rich.table import Table

from framecast import published as papers
from framecast import registry
from framecast.cli import terminal

LAST_DIGIT = 0.01
"""Published figures are rounded to it."""
MEGA, GIGA = 2**20, 2**30
"""The table's units, whose names it does not define."""
PRESET = "unit-stack/human36m-"
"""What the names of the table's presets begin with; the unit's follows."""
SETTING: dict[str, Any] = {"layers": 16, "hidden": 128, "kernel": 5, "size": [16, 16]}
"""The table's; the size of the map is inferred, for G/M is 256/1024 in every row."""


def show(as_json: bool) -> None:
    """Print all registered units, counted."""
    published = _published()
    rows = {row["unit"]: row for row in published["rows"]}
    units = [_counted(name, rows.get(name)) for name in registry.names("units")]
    document = {"paper": published["paper"], "table": published["table"], "setting": SETTING}
    terminal.show(document | {"units": units}, _lines(units), as_json)


def verdict(counted: tuple[float, float], published: dict[str, Any] | None) -> str:
    """Whether both counts, rounded, are the published ones.

    Args:
        counted: Parameters and multiply–adds, in the table's units.
        published: The table's row, if it has one.
    """
    if published is None:
        return "not in table"
    figures = published["parameters"], published["multiply_adds"]
    near = (abs(a - b) <= LAST_DIGIT / 2 for a, b in zip(counted, figures, strict=True))
    return "exact" if all(near) else "differs"


def _published() -> dict[str, Any]:
    """Table VII of STIP, by unit."""
    table = next(table for table in papers.tables("stip") if table.name == "table7")
    keys = {"PSNR": "psnr", "LPIPS": "lpips", "Parameters": "parameters", "FLOPs": "multiply_adds"}
    rows = [
        {"method": row.method, "unit": (row.model or "").partition(PRESET)[2]}
        | {key: row.values[label] for label, key in keys.items()}
        for row in table.rows
    ]
    return {"paper": papers.about("stip").citation, "table": "VII", "rows": rows}


def _counted(name: str, published: dict[str, Any] | None) -> dict[str, Any]:
    from framecast.layers.recurrent.cost import cost

    height, width = SETTING["size"]
    count = cost(name, SETTING["hidden"], SETTING["kernel"], (height, width))
    return {
        "unit": name,
        "parameters": count.parameters,
        "multiply_adds": count.multiply_adds,
        "verdict": verdict((count.parameters / MEGA, count.multiply_adds / GIGA), published),
        "published": published,
    }


def _lines(units: list[dict[str, Any]]) -> list[str | Table]:
    columns = (
        "unit",
        "parameters, M",
        "published",
        "multiply–adds, G",
        "published",
        "",
        "PSNR, dB",
        "LPIPS",
    )
    height, width = SETTING["size"]
    return [
        f"One unit of {SETTING['hidden']} channels, kernel {SETTING['kernel']}, on a map of "
        f"{height}×{width}; M is 2^20, G is 2^30.",
        "Published: STIP, Table VII, also for PSNR and LPIPS (×100) of "
        f"{SETTING['layers']} units, Human3.6M 4→4.",
        "",
        terminal.table(columns, map(_row, units)),
    ]


def _row(unit: dict[str, Any]) -> tuple[str, ...]:
    published = unit["published"] or {}

    def figure(key: str) -> str:
        return f"{published[key]:.2f}" if published else ""

    return (
        unit["unit"],
        f"{unit['parameters'] / MEGA:.4f}",
        figure("parameters"),
        f"{unit['multiply_adds'] / GIGA:.4f}",
        figure("multiply_adds"),
        unit["verdict"],
        figure("psnr"),
        figure("lpips"),
    )
