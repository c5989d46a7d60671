"""Tokens of clips: what a codec makes of frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from framecast.errors import FramecastError


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
    def bits(self) -> int:
        """Bits of one clip's tokens, each stored in the fewest whole bits that hold its range."""
        grids = (math.prod(level.shape[1:]) for level in self.levels)
        return sum(n * width(values) for n, values in zip(grids, self.values, strict=True))

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
