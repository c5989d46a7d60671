"""`framecast models --units`: what recurrent units cost, beside what was published."""

import json
from importlib import resources
from typing import Any

from rich.table import Table

from framecast import registry
from framecast.cli import terminal

LAST_DIGIT = 0.01
"""Published figures are rounded to it."""
MEGA, GIGA = 2**20, 2**30
"""The table's units, whose names it does not define."""


def show(as_json: bool) -> None:
    """Print all registered units, counted."""
    published = _published()
    rows = {row["unit"]: row for row in published["rows"]}
    setting = published["setting"]
    units = [_counted(name, setting, rows.get(name)) for name in registry.names("units")]
    document = {"paper": published["paper"], "table": published["table"], "setting": setting}
    terminal.show(document | {"units": units}, _lines(setting, units), as_json)


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
    file = resources.files("framecast") / "published" / "stip-table-7.json"
    return json.loads(file.read_text(encoding="utf-8"))


def _counted(
    name: str, setting: dict[str, Any], published: dict[str, Any] | None
) -> dict[str, Any]:
    from framecast.layers.recurrent.cost import cost

    height, width = setting["size"]
    count = cost(name, setting["hidden"], setting["kernel"], (height, width))
    return {
        "unit": name,
        "parameters": count.parameters,
        "multiply_adds": count.multiply_adds,
        "verdict": verdict((count.parameters / MEGA, count.multiply_adds / GIGA), published),
        "published": published,
    }


def _lines(setting: dict[str, Any], units: list[dict[str, Any]]) -> list[str | Table]:
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
    height, width = setting["size"]
    return [
        f"One unit of {setting['hidden']} channels, kernel {setting['kernel']}, on a map of "
        f"{height}×{width}; M is 2^20, G is 2^30.",
        "Published: STIP, Table VII, also for PSNR and LPIPS (×100) of "
        f"{setting['layers']} units, Human3.6M 4→4.",
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
