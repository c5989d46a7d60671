"""Tensors on which processes agree: sums, the rows of all, what the first one has."""

import torch
from torch import Tensor

from framecast.noise import mix
from framecast.stage import Reducer


def rows(reducer: Reducer, mine: Tensor, most: int, seed: int) -> Tensor:
    """The rows of all processes, one process after another.

    Args:
        reducer: Of the process group.
        mine: Rows of this process.
        most: Rows that are wanted; of more a random part is taken.
        seed: For one seed and number of rows the same ones are taken.
    """
    share = most // reducer.world_size
    if len(mine) > share:
        generator = torch.Generator().manual_seed(mix(seed, "rows", reducer.global_rank))
        mine = mine[torch.randperm(len(mine), generator=generator)[:share].to(mine.device)]
    if reducer.world_size == 1:
        return mine
    lengths = torch.zeros(reducer.world_size, dtype=torch.int64, device=mine.device)
    lengths[reducer.global_rank] = len(mine)
    ends = total(reducer, lengths).cumsum(0).tolist()
    everyone = mine.new_zeros(ends[-1], *mine.shape[1:])
    end = ends[reducer.global_rank]
    everyone[end - len(mine) : end] = mine
    return total(reducer, everyone)


def first(reducer: Reducer, tensor: Tensor) -> Tensor:
    """The tensor of the first process; it may be overwritten."""
    return total(reducer, tensor if reducer.global_rank == 0 else torch.zeros_like(tensor))


def total(reducer: Reducer, tensor: Tensor) -> Tensor:
    """The sum over the processes; the tensor itself may be overwritten."""
    reduced = reducer.all_reduce(tensor, reduce_op="sum")
    assert isinstance(reduced, Tensor)
    return reduced
