"""Validation: the same clips, batches and noise every time, on any number of processes."""

from collections.abc import Iterator
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from framecast.errors import TrainingError
from framecast.noise import mix
from framecast.stage import Stage

SCORE = "score"


@torch.no_grad()
def validate(
    fabric: Fabric,
    stage: Stage,
    batches: Iterator[tuple[int, int, Any]],
    seed: int,
) -> dict[str, float]:
    """Mean over the clips of what a stage's `validate` reports.

    Args:
        fabric: Launched.
        stage: Left in evaluation mode.
        batches: This process's batches: number, clips, content. The first process has one.
        seed: Names the noise, together with the batch's number.

    Returns:
        Means weighted by clips, equal in all processes; `score` is among them.
    """
    stage.eval()
    names: list[str] = []
    sums: Tensor | None = None
    clips = 0
    for number, size, batch in batches:
        torch.manual_seed(mix(seed, "validation", number))
        with fabric.autocast():
            values = stage.validate(fabric.to_device(batch))
        names = list(values)
        weighted = size * torch.stack([values[name].double() for name in names])
        sums = weighted if sums is None else sums + weighted
        clips += size
    return _means(fabric, names, sums, clips)


def _means(fabric: Fabric, names: list[str], sums: Tensor | None, clips: int) -> dict[str, float]:
    names = fabric.broadcast(names)
    if SCORE not in names:
        raise TrainingError(f"validation reports {names}, and no {SCORE!r} to compare weights by")
    if sums is None:  # more processes than batches
        sums = torch.zeros(len(names), dtype=torch.double, device=fabric.device)
    counted = torch.cat([sums, sums.new_tensor([clips])])
    total = fabric.all_reduce(counted, reduce_op="sum")
    assert isinstance(total, Tensor)
    return dict(zip(names, (total[:-1] / total[-1]).tolist(), strict=True))
