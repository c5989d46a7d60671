"""The order in which a run sees its data: a pure function of names and the step."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from framecast.clip import Key
from framecast.errors import ConfigError
from framecast.noise import mix


@dataclass(frozen=True)
class Order:
    """Endless batches of keys for training, each epoch a permutation of its own.

    A `batch_sampler` for `torch.utils.data.DataLoader`. Epochs follow one another without a gap,
    and step k takes positions k·batch … k·batch + batch − 1 of that endless row: a pure function of
    (length, batch, seed, k), whatever the ranks, the workers and the step that a run starts from.
    Rank r has the r-th part of every step; joined in the order of ranks, the parts are the step of
    one process.

    Raises:
        ConfigError: if there is nothing to order, or the batch cannot be divided among the ranks.
    """

    length: int
    """Number of items in an epoch."""
    batch: int
    """Items per step of all ranks together."""
    seed: int
    """The run's seed."""
    start: int = 0
    """First step that iterating gives."""
    rank: int = 0
    """Which of the processes this is."""
    world: int = 1
    """Number of processes."""
    _epochs: dict[int, Int64[np.ndarray, " length"]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Refuse what has no order."""
        _check(self.length, self.batch, self.rank, self.world)
        if self.batch % self.world:
            raise ConfigError(
                f"a batch of {self.batch} cannot be divided among {self.world} processes; "
                f"choose a multiple of {self.world}"
            )
        if self.start < 0:
            raise ConfigError(f"the first step is {self.start}; it cannot be negative")

    def __iter__(self) -> Iterator[list[Key]]:
        """This rank's keys of step `start`, `start` + 1, … without end."""
        step = self.start
        while True:
            yield self.step(step)
            step += 1

    def step(self, step: int) -> list[Key]:
        """This rank's keys (epoch, index) of one step."""
        share = self.batch // self.world
        first = step * self.batch + self.rank * share
        keys: list[Key] = []
        for position in range(first, first + share):
            epoch, place = divmod(position, self.length)
            keys.append((epoch, int(self._permutation(epoch)[place])))
        return keys

    def __getstate__(self) -> dict[str, object]:
        """Permutations are not worth sending to another process."""
        return {**self.__dict__, "_epochs": {}}

    def _permutation(self, epoch: int) -> Int64[np.ndarray, " length"]:
        if epoch not in self._epochs:
            # Raw bits of a bit generator are the same in every version of NumPy, unlike shuffles.
            bits = np.random.Philox(key=mix("order", self.seed, epoch)).random_raw(self.length)
            for old in [known for known in self._epochs if known != epoch - 1]:
                del self._epochs[old]
            self._epochs[epoch] = np.argsort(bits, kind="stable")
        return self._epochs[epoch]


@dataclass(frozen=True)
class Sequential:
    """Batches of keys in order, once, for evaluation; a `batch_sampler` with a length.

    Rank r has the r-th of `world` runs of indices whose lengths differ by one at most, so that the
    results of all ranks, joined in the order of ranks, are those of one process. A rank may have
    nothing to do.

    Raises:
        ConfigError: if there is nothing to order.
    """

    length: int
    """Number of items in the source."""
    batch: int
    """Items per batch of one process; the last batch may have fewer."""
    limit: int | None = None
    """Leave off after this many items of all ranks together; None for all."""
    rank: int = 0
    """Which of the processes this is."""
    world: int = 1
    """Number of processes."""

    def __post_init__(self) -> None:
        """Refuse what has no order."""
        _check(self.length, self.batch, self.rank, self.world)
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"a limit of {self.limit} leaves nothing; use 1 or more, or none")

    @property
    def indices(self) -> range:
        """The indices of this rank."""
        count = self.length if self.limit is None else min(self.length, self.limit)
        return range(self.rank * count // self.world, (self.rank + 1) * count // self.world)

    def __len__(self) -> int:
        """Number of batches of this rank."""
        return math.ceil(len(self.indices) / self.batch)

    def __iter__(self) -> Iterator[list[Key]]:
        """Keys (0, index), batch after batch."""
        for first in range(0, len(self.indices), self.batch):
            yield [(0, index) for index in self.indices[first : first + self.batch]]


def _check(length: int, batch: int, rank: int, world: int) -> None:
    if length < 1:
        raise ConfigError("there is no item to put in order; the source is empty")
    if batch < 1:
        raise ConfigError(f"a batch of {batch} items is none; use 1 or more")
    if not 0 <= rank < world:
        raise ConfigError(f"rank {rank} is not one of {world} processes")
