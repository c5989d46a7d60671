"""Batch normalisation that learns its running statistics after a step, not while it predicts."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.stage import Reducer

EPS = 1e-5
MOMENTUM = 0.1
"""Share of a step's statistics in the running ones."""


@dataclass(frozen=True)
class Seen:
    """Statistics of one batch."""

    mean: Float[Tensor, " c"]
    variance: Float[Tensor, " c"]  # unbiased


class BatchNorm(nn.Module):
    """`nn.BatchNorm2d` and `nn.BatchNorm3d`, but for when the running statistics move.

    They move in `settle`, once per step.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        """Gain of one, no offset, and statistics of a standard normal."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.seen: list[Seen] = []

    def forward(self, x: Float[Tensor, "b c *d h w"]) -> Float[Tensor, "b c *d h w"]:
        """Normalise by the batch in training, by the running statistics otherwise."""
        if not self.training:
            return functional.batch_norm(
                x, self.mean, self.variance, self.weight, self.bias, training=False, eps=EPS
            )
        seen = Seen(torch.zeros_like(self.mean), torch.ones_like(self.variance))
        # a momentum of 1 writes the batch's own statistics without another pass over it
        normal = functional.batch_norm(
            x, seen.mean, seen.variance, self.weight, self.bias, True, momentum=1.0, eps=EPS
        )
        self.seen.append(seen)
        return normal

    def affine(self) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
        """Gain and offset of each channel out of training."""
        gain = self.weight * (self.variance + EPS).rsqrt()
        return gain, self.bias - self.mean * gain

    def settle(self, reducer: Reducer) -> None:
        """Move the running statistics towards the mean of what was seen since, on all processes."""
        if not self.seen:
            return
        mean = torch.stack([seen.mean for seen in self.seen]).mean(0)
        variance = torch.stack([seen.variance for seen in self.seen]).mean(0)
        self.seen.clear()
        both = reducer.all_reduce(torch.stack([mean, variance]), reduce_op="mean")
        self.mean.lerp_(both[0], MOMENTUM)
        self.variance.lerp_(both[1], MOMENTUM)


def settle(network: nn.Module, reducer: Reducer) -> None:
    """Move the running statistics of all norms of a network, as a stage does after every step."""
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.settle(reducer)
