"""Tokens of clips: what a codec makes of frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from framecast.errors import FramecastError

Grid = tuple[int, int, int]
"""Time, rows and columns of a level's tokens."""

WIDTH_MAX = 32
"""The most bits of a token that can be packed."""


@dataclass(frozen=True)
class Codes:
    """Tokens of a batch of clips, level by level, coarse to fine."""

    levels: tuple[Int64[Tensor, "b _ _ _"], ...]  # time, rows and columns of each level's own grid
    values: tuple[int, ...]  # how many values a token of each level can take
    frame: tuple[int, int, int]  # channels, height and width of the frames that were encoded
    length: int  # frames that were encoded

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        if len(self.levels) != len(self.values):
            raise FramecastError(f"{len(self.levels)} levels of tokens, {len(self.values)} ranges")

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Each level's grid, of one clip."""
        return tuple((t, h, w) for _, t, h, w in (level.shape for level in self.levels))

    @property
    def bits(self) -> int:
        """Bits of one clip's tokens, each stored in the fewest whole bits that hold its range."""
        return bits_of(self.values, self.grids)

    def to(self, device: torch.device | str, **kwargs: Any) -> "Codes":
        """The same tokens on another device; keyword arguments go to `Tensor.to`."""
        kwargs.pop("dtype", None)
        return replace(self, levels=tuple(level.to(device, **kwargs) for level in self.levels))

    @staticmethod
    def collate(items: Sequence["Codes"]) -> "Codes":
        """Put batches one after another into one.

        Raises:
            FramecastError: if they differ in shape or range.
        """
        first = items[0]
        for item in items:
            if (item.values, item.frame, item.length) != (first.values, first.frame, first.length):
                raise FramecastError("tokens of different codecs or clip sizes cannot form a batch")
        levels = zip(*(item.levels for item in items), strict=True)
        return replace(first, levels=tuple(torch.cat(level) for level in levels))


def width(values: int) -> int:
    """The fewest bits that hold a number below `values`."""
    return max(1, (values - 1).bit_length())


@dataclass(frozen=True)
class Usage:
    """How often each value of a level's tokens occurs."""

    counts: Int64[Tensor, " v"]

    @classmethod
    def of(cls, tokens: Int64[Tensor, "*n"], values: int) -> "Usage":
        """Count tokens that take so many values; the counts lie on the CPU."""
        return cls(torch.bincount(tokens.reshape(-1).cpu(), minlength=values))

    def __add__(self, other: "Usage") -> "Usage":
        """The counts of both."""
        return Usage(self.counts + other.counts)

    @property
    def used(self) -> int:
        """How many values occur."""
        return int((self.counts > 0).sum())

    @property
    def perplexity(self) -> float:
        """exp of the entropy of the frequencies, from 1 to the number of values."""
        return float(perplexity(self.counts.double()))


def perplexity(counts: Float[Tensor, "*values"]) -> Float[Tensor, ""]:
    """exp(−Σ p log p) of counts p, normalised; 1 where nothing was counted."""
    shares = counts / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)
    return (-torch.xlogy(shares, shares).sum()).exp()


def bits_of(values: Sequence[int], grids: Sequence[Grid]) -> int:
    """Bits of one clip's tokens with these ranges and grids, each in `width(values)` bits."""
    return sum(math.prod(grid) * width(v) for v, grid in zip(values, grids, strict=True))


def pack(codes: Codes) -> UInt8[np.ndarray, "b n"]:
    """The bits of each clip's tokens, one per element: n is `codes.bits`.

    Level by level; within a level by time, row and column; within a token from its highest bit.

    Raises:
        FramecastError: if a token is out of its level's range, or the range too large to pack.
    """
    parts = [
        _bits(level, values, number)
        for number, (level, values) in enumerate(zip(codes.levels, codes.values, strict=True), 1)
    ]
    return np.concatenate(parts, axis=1)


def unpack(
    packed: UInt8[np.ndarray, "b n"], values: Sequence[int], grids: Sequence[Grid]
) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
    """The tokens of each level, from what `pack` gave.

    Raises:
        FramecastError: if a token is out of its level's range.
    """
    levels: list[Tensor] = []
    start = 0
    for number, (most, grid) in enumerate(zip(values, grids, strict=True), 1):
        length = math.prod(grid) * width(most)
        part = packed[:, start : start + length].reshape(-1, *grid, width(most))
        kind = _word(most)
        words = np.zeros((*part.shape[:-1], 8 * kind.itemsize), np.uint8)
        words[..., -width(most) :] = part
        level = np.packbits(words, axis=-1).view(kind)[..., 0].astype(np.int64)
        _check_range(level, most, number)
        levels.append(torch.from_numpy(level))
        start += length
    return tuple(levels)


def _bits(level: Tensor, values: int, number: int) -> UInt8[np.ndarray, "b n"]:
    tokens = level.cpu().numpy()
    _check_range(tokens, values, number)
    kind = _word(values)
    flat = tokens.reshape(len(tokens), -1, 1).astype(kind)
    words = np.unpackbits(flat.view(np.uint8), axis=-1)
    return words[..., 8 * kind.itemsize - width(values) :].reshape(len(tokens), -1)


def _word(values: int) -> np.dtype[Any]:
    """The smallest unsigned integer, highest byte first, that holds numbers below `values`."""
    if width(values) > WIDTH_MAX:
        raise FramecastError(f"tokens of {values} values take more than {WIDTH_MAX} bits")
    return np.dtype(next(f">u{n}" for n in (1, 2, 4) if 8 * n >= width(values)))


def _check_range(tokens: np.ndarray, values: int, number: int) -> None:
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < values:
        wrong = tokens.min() if tokens.min() < 0 else tokens.max()
        raise FramecastError(f"a token of level {number} is {wrong}, not from 0 to {values - 1}")
