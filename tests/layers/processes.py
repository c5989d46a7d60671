"""Several processes played by threads that meet in every reduction."""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Alone:
    """A process group of one."""

    world_size = 1
    global_rank = 0

    def all_reduce(self, data: Any, reduce_op: Any = "mean") -> Any:
        assert reduce_op in ("mean", "sum")
        return data


class Rank:
    """One process of several; a reduction writes into what it is given, as real ones do."""

    def __init__(self, rank: int, slots: list[Tensor], barrier: threading.Barrier) -> None:
        self.global_rank, self.world_size = rank, len(slots)
        self.slots, self.barrier = slots, barrier

    def all_reduce(self, data: Tensor, reduce_op: Any = "mean") -> Tensor:
        self.slots[self.global_rank] = data.clone()
        self.barrier.wait()
        assert len({(each.shape, each.dtype) for each in self.slots}) == 1
        total = torch.stack(self.slots).sum(0)
        self.barrier.wait()
        return data.copy_(total if reduce_op == "sum" else total / self.world_size)


def together(work: Callable[[Rank], Any], count: int) -> list[Any]:
    """What `work` returns in each of `count` processes."""
    slots, barrier = [torch.empty(0)] * count, threading.Barrier(count, timeout=30)
    results: list[Any] = [None] * count
    errors: list[BaseException] = []

    def run(rank: int) -> None:
        try:
            results[rank] = work(Rank(rank, slots, barrier))
        except BaseException as error:
            barrier.abort()
            errors.append(error)

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
