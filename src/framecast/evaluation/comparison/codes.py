"""What frames cost as codes, and how likely the codes of the true futures are."""

from collections.abc import Iterator, Sequence

from framecast.evaluation.comparison.grids import Cell, Grid, cells
from framecast.evaluation.comparison.lines import Line
from framecast.evaluation.report import cell
from framecast.wording import counted

_OWN = (
    "each model's own codes, each code given all before it: bits per code compare where the codec "
    "is one, and no bits say how far the decoded frames are from the true ones"
)


def codec_grid(ordered: Sequence[Line]) -> Grid | None:
    """The codecs among the models, whole and by level; None where there are none."""
    columns = cells(("", "bits per frame", "times fewer than 8-bit frames", "used", "perplexity"))
    rows = tuple(cells(row) for line in ordered if line.model for row in _codec(line))
    return Grid("Codes", columns, rows) if rows else None


def _codec(line: Line) -> Iterator[tuple[str, ...]]:
    codec = line.entry.result.codec
    if codec is None:
        return
    whole = f"{line.name}, {len(codec.levels)} of {counted(codec.available, 'level')}"
    yield whole, f"{codec.bits_per_frame:,.6g}", f"{codec.compression:.4g}", "", ""
    for place, level in enumerate(codec.levels, start=1):
        used = f"{level.used:,} of {level.values:,}"
        bits = f"{level.bits_per_frame:,.6g}"
        yield f"{line.name}, level {place}", bits, "", used, f"{level.perplexity:.4g}"


def likelihood_grid(ordered: Sequence[Line]) -> Grid | None:
    """Bits of the true futures' codes, of all levels and of each; None where none are known."""
    columns = cells(("", "codes of a sequence", "bits per code ↓", "bits per frame ↓"))
    rows = tuple(row for line in ordered if line.model for row in _likelihood(line))
    return Grid("Likelihood of the true futures' codes", columns, rows, (_OWN,)) if rows else None


def _likelihood(line: Line) -> Iterator[tuple[Cell, ...]]:
    found = line.entry.result.likelihood
    if found is None:
        return
    codes = sum(level.codes for level in found.levels)
    frames = f"{found.bits_per_frame:,.4g}"
    yield cells((line.name, f"{codes:,}", cell(found.bits_per_code), frames))
    for place, level in enumerate(found.levels, start=1):
        name = f"{line.name}, level {place}"
        yield cells((name, f"{level.codes:,}", cell(level.bits_per_code), ""))
