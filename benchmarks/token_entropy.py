"""How many bits the tokens of a file take packed, and how many an arithmetic coder would need.

Each token is coded from what is known before it by an adaptive model that starts from nothing, so
that what it costs to learn is in the figures: the Krichevsky–Trofimov code, whose length follows
from the counts alone. One row per level, and contexts that grow from left to right: nothing, the
coarser levels' tokens at that place, the same place in the block before, the places left and above.
A last block that is shorter than the others is left out.

    python benchmarks/token_entropy.py FILE.tokens…
"""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from framecast.token_file import open_tokens
from framecast.tokens import Codes, width

CONTEXTS = ("alone", "+ coarser", "+ before", "+ around")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="token files")
    for path in parser.parse_args().files:
        Console().print(measured(path))


def measured(path: Path) -> Table:
    """Bits per token of each level of a file."""
    file = open_tokens(path)
    header = file.header
    parts = [chunk for chunk in file.chunks(256) if chunk.codes.length == header.block]
    codes, frames = Codes.collate([part.codes for part in parts]), sum(p.frames for p in parts)
    table = Table(
        title=f"{path}: {frames} frames, bits per token, and per frame",
        title_justify="left",
        box=None,
    )
    for column in ("level", "values", "tokens", "packed", *CONTEXTS):
        table.add_column(column, justify="right")
    sums = [0.0] * (1 + len(CONTEXTS))
    for number, (level, values) in enumerate(zip(codes.levels, codes.values, strict=True)):
        bits = [float(width(values)) * level.numel(), *_lengths(codes, number)]
        sums = [total + more for total, more in zip(sums, bits, strict=True)]
        shown = [f"{b / level.numel():.3f}" for b in bits]
        table.add_row(str(number + 1), str(values), f"{level.numel():,}", *shown)
    per_frame = [f"{total / frames:,.0f}" for total in sums]
    table.add_row("per frame", "", "", *per_frame)
    return table


def _lengths(codes: Codes, number: int) -> list[float]:
    """Code lengths of a level in bits, with each of the contexts."""
    level, values = codes.levels[number], codes.values[number]
    context = torch.zeros_like(level)
    lengths = [_code_length(level, values, context)]
    for coarser, more in zip(codes.levels[:number], codes.values[:number], strict=True):
        context = _renumbered(context * more + _stretched(coarser, level))
    lengths.append(_code_length(level, values, context))
    before = torch.cat([torch.zeros_like(level[:1]), level[:-1]])
    context = _renumbered(context * values + before)
    lengths.append(_code_length(level, values, context))
    for axis in (3, 2):
        moved = level.roll(1, axis)
        moved.select(axis, 0).zero_()
        context = _renumbered(context * values + moved)
    return [*lengths, _code_length(level, values, context)]


def _stretched(coarser: Tensor, level: Tensor) -> Tensor:
    """A coarser level's tokens at the positions of a finer one."""
    for axis in (1, 2, 3):
        steps = torch.arange(level.shape[axis]) * coarser.shape[axis] // level.shape[axis]
        coarser = coarser.index_select(axis, steps)
    return coarser


def _renumbered(context: Tensor) -> Tensor:
    """The same contexts as small numbers, so that what is joined to them does not overflow."""
    return torch.unique(context, return_inverse=True)[1]


def _code_length(level: Tensor, values: int, context: Tensor) -> float:
    """Bits of the Krichevsky–Trofimov code, which learns each context's frequencies as it goes."""
    contexts = _renumbered(context).flatten()
    _, counts = torch.unique(contexts * values + level.flatten(), return_counts=True)
    totals = torch.bincount(contexts).double()
    half = torch.tensor(0.5, dtype=torch.float64)
    nats = (torch.lgamma(totals + values / 2) - torch.lgamma(half * values)).sum()
    nats -= (torch.lgamma(counts + half) - torch.lgamma(half)).sum()
    return float(nats / torch.log(torch.tensor(2.0, dtype=torch.float64)))


if __name__ == "__main__":
    main()
