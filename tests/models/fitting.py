"""A few steps of a stage's first phase on clips at hand, without the trainer."""

from itertools import cycle

import torch

from framecast.clip import Clip
from framecast.stage import Stage
from layers.processes import Alone


def fit(stage: Stage, *clips: Clip, steps: int, rate: float) -> list[float]:
    """Adam on clips in turn, in the mode that the stage is in; the loss before each step."""
    optimizer = torch.optim.Adam(stage.parameters_of("main"), rate)
    losses = []
    for step, clip in zip(range(steps), cycle(clips), strict=False):
        optimizer.zero_grad()
        total = stage("main", clip, step)["total"]
        total.backward()
        optimizer.step()
        stage.after_step(step, Alone())
        losses.append(float(total.detach()))
    return losses
