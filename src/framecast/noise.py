"""Randomness as a pure function of names.

`mix` is the only maker of seeds in the package; `Noise` draws one stream per row (sample ×
sequence), so that what a row gets depends neither on its neighbours nor on the batch size.
"""

import hashlib
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

SEED_BITS = 63


def mix(*parts: SupportsIndex | str | bytes) -> int:
    """Hash names and numbers into one seed.

    Args:
        parts: What the seed is for, e.g. `mix(seed, "train", step)`. Order and number of the parts
            matter, and whether they are numbers: `mix("ab", "c")`, `mix("a", "bc")` and `mix(1)`,
            `mix("1")` differ; whole numbers of any library are the same.

    Returns:
        A seed in [0, 2^63): the leading bits of a BLAKE2b hash, the same on every machine.

    Raises:
        TypeError: if a part is something else, such as 1.0.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        tag, body = _named(part)
        digest.update(tag + b":" + str(len(body)).encode() + b":" + body)
    return int.from_bytes(digest.digest()) >> (64 - SEED_BITS)


def _named(part: SupportsIndex | str | bytes) -> tuple[bytes, bytes]:
    """What kind of name a part is, and the name."""
    if isinstance(part, bytes):
        return b"bytes", bytes(part)
    if isinstance(part, str):
        return b"str", part.encode()
    return b"int", str(int(operator.index(part))).encode()


@dataclass(frozen=True)
class Noise:
    """One CPU random stream per row, drawn frame by frame.

    `rows[s][b]` is the seed of sample `s` of sequence `b`. Every draw advances all rows alike, so a
    sequence alone draws what it draws in a batch, and the first 5 of 100 samples are the 5-sample
    result.
    """

    rows: tuple[tuple[int, ...], ...]
    streams: tuple[torch.Generator, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Open the streams."""
        seeds = [seed for row in self.rows for seed in row]
        streams = tuple(torch.Generator().manual_seed(seed) for seed in seeds)
        object.__setattr__(self, "streams", streams)

    @classmethod
    def of(cls, seed: int, sequences: Sequence[int], samples: int, first: int = 0) -> "Noise":
        """Streams for `samples` futures of each of `sequences` (their numbers in the dataset).

        `first` is the number of the first future, so that many can be drawn portion by portion.
        """
        rows = tuple(
            tuple(mix(seed, sequence, sample) for sequence in sequences)
            for sample in range(first, first + samples)
        )
        return cls(rows)

    @property
    def samples(self) -> int:
        """Number of samples per sequence."""
        return len(self.rows)

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return len(self.rows[0])

    def normal(self, *shape: int) -> Float[Tensor, "s b *shape"]:
        """Standard normal draws of `shape` for every row, float32 on the CPU."""
        return self._stack([torch.randn(shape, generator=stream) for stream in self.streams])

    def uniform(self, *shape: int) -> Float[Tensor, "s b *shape"]:
        """Uniform draws in [0, 1) of `shape` for every row, float32 on the CPU."""
        return self._stack([torch.rand(shape, generator=stream) for stream in self.streams])

    def gumbel(self, *shape: int) -> Float[Tensor, "s b *shape"]:
        """Standard Gumbel draws of `shape` for every row, float32 on the CPU, always finite."""
        uniform = self.uniform(*shape).double().clamp_min_(2.0**-25)
        return uniform.log_().neg_().log_().neg_().float()

    def _stack(self, draws: list[Tensor]) -> Tensor:
        return torch.stack(draws).unflatten(0, (self.samples, self.batch))
