"""Batches of a source for one process: of every training step, and of a validation."""

import gc
import signal
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from framecast.clip import Key, Source, collate
from framecast.data.order import Order
from framecast.errors import ConfigError, DataError, FramecastError
from framecast.training.signals import SIGNALS


@dataclass(frozen=True)
class MicroBatches:
    """The keys of an order's steps, each step cut into equal micro-batches."""

    order: Order
    parts: int
    """Micro-batches in a step."""

    def __iter__(self) -> Iterator[list[Key]]:
        """Micro-batch after micro-batch, without end."""
        for keys in self.order:
            size = len(keys) // self.parts
            for first in range(0, len(keys), size):
                yield keys[first : first + size]


def check_shares(batch: int, parts: int, world: int) -> None:
    """Refuse a batch that cannot be dealt out.

    Raises:
        ConfigError: if `batch` clips are no `parts` equal micro-batches for each process.
    """
    if batch % (world * parts):
        raise ConfigError(
            f"a batch of {batch} cannot be shared by {world} processes in {parts} micro-batches "
            f"each; choose a multiple of {world * parts}"
        )


def training_steps(source: Source, order: Order, parts: int, workers: int) -> Generator[list[Any]]:
    """The micro-batches of step after step, on the CPU, without end; to be closed."""
    with closing(_batches(source, MicroBatches(order, parts), workers)) as batches:
        while True:
            yield [next(batches) for _ in range(parts)]


def validation_batches(
    source: Source, clips: int, batch: int, workers: int, rank: int, world: int
) -> Generator[tuple[int, int, Any]]:
    """Number, size and content of this process's batches of the first `clips` items; to be closed.

    Batch n is the same whatever the number of processes; rank r has every `world`-th, from r on.
    """
    keys = [(0, index) for index in range(clips)]
    numbered = list(enumerate(keys[first : first + batch] for first in range(0, clips, batch)))
    mine = numbered[rank::world]
    with closing(_batches(source, [keys for _, keys in mine], workers)) as batches:
        for number, keys in mine:
            yield number, len(keys), next(batches)


def _batches(source: Source, sampler: Any, workers: int) -> Generator[Any]:
    """Batches; closing them ends the loader's processes.

    A process that is left would be waited for when the program ends, and ignores its signals.
    """
    loader = DataLoader(
        source,  # pyright: ignore[reportArgumentType]
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=_live_apart,
    )
    batches = iter(loader)
    try:
        yield from batches
    except FramecastError as error:
        raise type(error)(_message(str(error))) from None
    except OSError as error:
        raise DataError(f"cannot read on ({_message(str(error))}); mend that and resume") from None
    finally:
        if isinstance(batches, _MultiProcessingDataLoaderIter):
            batches._shutdown_workers()  # pyright: ignore[reportPrivateUsage]


def _live_apart(worker: int) -> None:
    """Leave signals to the training process: it ends its loaders when it has saved its work.

    And leave its objects alone: what it has not collected yet may hang on threads that do not run
    here.
    """
    del worker
    gc.freeze()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _message(text: str) -> str:
    """The message alone: a loader process sends its traceback along, the message at its end."""
    last = text.strip().splitlines()[-1]
    return last.partition(": ")[2] if text.startswith("Caught ") else last
