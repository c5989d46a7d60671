"""Numbers of parameters and of multiply–adds that were published, beside those here."""

import json
from dataclasses import asdict, dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from rich.table import Table

from framecast import registry
from framecast.cli import terminal

if TYPE_CHECKING:
    from framecast.model import Model, ModelConfig

MEGA = 1_000_000
GIGA = 1_000_000_000


@dataclass(frozen=True)
class Figure:
    """A number of parameters as it was published."""

    parameters: int
    digit: int  # what it is rounded to, a power of ten

    def agrees(self, counted: int) -> bool:
        """Whether a count, rounded alike, is this figure."""
        return abs(counted - self.parameters) * 2 <= self.digit

    def __str__(self) -> str:
        """As papers write it: 12.9M, or every digit where it is not rounded."""
        if self.digit == 1:
            return f"{self.parameters:,}"
        decimals = len(str(MEGA // self.digit)) - 1
        return f"{self.parameters / MEGA:.{decimals}f}M"


@dataclass(frozen=True)
class Work:
    """Multiply–adds of a prediction as they were published, beside the number here."""

    multiply_adds: int  # as published
    digit: int  # what it is rounded to, a power of ten
    context: int  # observed frames
    horizon: int  # predicted frames
    size: tuple[int, int]  # (h, w) of the frames, in pixels
    counted: int  # multiply–adds of the preset's model

    def __str__(self) -> str:
        """The published number as tables write it: 56.79G."""
        return f"{self.multiply_adds / GIGA:.{len(str(GIGA // self.digit)) - 1}f}G"

    @property
    def of(self) -> str:
        """What is predicted: 10→10 at 64x64."""
        return f"{self.context}→{self.horizon} at {self.size[0]}x{self.size[1]}"


@dataclass(frozen=True)
class Size:
    """A published number of parameters, beside the number here."""

    preset: str  # whose model is counted
    method: str  # name in the paper
    source: str
    published: Figure
    counted: int  # parameters of the preset's model
    described: bool  # whether that model is the one that is being described
    parts: dict[str, Figure]  # published figures of single parts, by the part's name here
    unused: int  # published parameters that the published program never uses; here there are none
    work: Work | None  # None where nothing was published
    note: str

    @property
    def verdict(self) -> str:
        """Whether the count and what is never used, rounded as the figure, are the figure."""
        return "equal" if self.published.agrees(self.counted + self.unused) else "differs"

    def document(self) -> dict[str, Any]:
        """Everything, for programs."""
        return asdict(self) | {"verdict": self.verdict}


def published() -> list[dict[str, Any]]:
    """The published figures as they are kept."""
    file = resources.files("framecast") / "published" / "sizes.json"
    return json.loads(file.read_text(encoding="utf-8"))["rows"]


def beside(model: "Model", others: bool) -> list[Size]:
    """The published sizes of a model.

    Args:
        model: Is described.
        others: Add those of other configurations of its type.
    """
    found = [
        _size(row, model)
        for row in published()
        if row["preset"].partition("/")[0] == model.config.type
    ]
    return [size for size in found if size.described or others]


def parts(counts: dict[str, int], total: int, sizes: list[Size]) -> Table:
    """The parts of a model with their numbers of parameters, and what was published of them."""
    own = next((size for size in sizes if size.described), None)
    if own is None:
        rows = [(part, f"{count:,}") for part, count in counts.items()]
        return terminal.table(("part", "parameters"), [*rows, ("in all", f"{total:,}")])
    figures = {part: str(own.parts.get(part, "")) for part in counts}
    rows = [(part, f"{count:,}", figures[part]) for part, count in counts.items()]
    rows.append(("in all", f"{total:,}", str(own.published)))
    return terminal.table(("part", "parameters", "published"), rows)


def lines(sizes: list[Size]) -> list[str | Table]:
    """The published sizes as a table, each with its source and what it says of it."""
    if not sizes:
        return []
    columns = ("preset", "method", "published", "here", "")
    rows = [(s.preset, s.method, str(s.published), _here(s), s.verdict) for s in sizes]
    sources = [
        f"{size.preset}: {size.source}" + (f"; {size.note}" if size.note else "") for size in sizes
    ]
    return ["", terminal.table(columns, rows), *_works(sizes), *sources]


def _here(size: Size) -> str:
    return f"{size.counted:,}" + (f" + {size.unused:,} never used" if size.unused else "")


def _works(sizes: list[Size]) -> list[str | Table]:
    rows = [
        (size.preset, size.work.of, str(size.work), f"{size.work.counted / GIGA:.2f}G")
        for size in sizes
        if size.work is not None
    ]
    columns = ("multiply–adds", "of", "published", "here")
    return ["", terminal.table(columns, rows), ""] if rows else []


def _size(row: dict[str, Any], model: "Model") -> Size:
    import torch

    config = registry.find("presets", row["preset"])().model
    with torch.device("meta"):
        counted = config.build().parameter_count()
    return Size(
        row["preset"],
        row["method"],
        row["source"],
        _figure(row),
        counted,
        config == model.config,
        {part: _figure(each) for part, each in row.get("parts", {}).items()},
        row.get("unused", 0),
        _work(row["work"], config) if "work" in row else None,
        row.get("note", ""),
    )


def _work(row: dict[str, Any], config: "ModelConfig") -> Work:
    from framecast.evaluation.cost import multiply_adds

    context, horizon, size = row["context"], row["horizon"], (row["size"][0], row["size"][1])
    counted = multiply_adds(config, context, horizon, size)
    return Work(row["multiply_adds"], row["digit"], context, horizon, size, counted)


def _figure(row: dict[str, Any]) -> Figure:
    return Figure(row["parameters"], row["digit"])
