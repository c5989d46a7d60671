"""What the compared models were trained on, and for how long, as their folders say."""

from collections.abc import Iterator, Sequence
from typing import Any

from framecast.evaluation.comparison.grids import Cell, Grid, cells
from framecast.evaluation.comparison.lines import Line

_COLUMNS = cells(("", "on", "frames", "seed", "steps"))
_KEPT = (
    "steps: those after which the weights were kept, stage by stage; what a step sees and costs is "
    "each preset's own"
)


def training_grid(ordered: Sequence[Line]) -> Grid | None:
    """The trained models among the lines; None where there are none."""
    rows = tuple(_rows(ordered))
    return Grid("Trained", _COLUMNS, rows, (_KEPT,)) if rows else None


def steps(about: dict[str, Any]) -> dict[str, int]:
    """Steps of each stage after which the weights of a model were kept, where that is known."""
    return {stage["name"]: stage["step"] for stage in _stages(about)}


def _rows(ordered: Sequence[Line]) -> Iterator[tuple[Cell, ...]]:
    for line in ordered:
        about = line.entry.result.model.about
        done = [f"{each['name']} {each['step']:,}{_begun(each)}" for each in _stages(about)]
        if line.model and done:
            seed = str(about.get("seed", "–"))
            yield cells((line.name, _data(about), _frames(about), seed, ", ".join(done)))


def _stages(about: dict[str, Any]) -> list[dict[str, Any]]:
    stages = about.get("stages")
    return [
        stage
        for stage in (stages if isinstance(stages, list) else ())
        if isinstance(stage, dict) and "name" in stage and isinstance(stage.get("step"), int)
    ]


def _begun(stage: dict[str, Any]) -> str:
    """Weights that a stage did not begin anew with."""
    parts = [f"{part} begun with {text}" for part, text in stage.get("begun", {}).items()]
    return f" ({'; '.join(parts)})" if parts else ""


def _frames(about: dict[str, Any]) -> str:
    size = about.get("size")
    lengths = f"{about.get('context', '?')} → {about.get('horizon', '?')}"
    if not isinstance(size, list | tuple) or len(size) != 2:
        return lengths
    return f"{lengths} of {size[0]}×{size[1]}"


def _data(about: dict[str, Any]) -> str:
    data = about.get("data")
    if not isinstance(data, dict):
        return "?"
    drawn = data.get("digits")
    return f"{data.get('type', '?')} ({drawn})" if drawn else str(data.get("type", "?"))
