"""Gradient highway unit: a short way through time between the layers of a stack."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.layers.norm import Norm
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.unit import Turn, Unit


class HighwayState(NamedTuple):
    """Z, which is also the output."""

    hidden: Float[Tensor, "b k h w"]


class HighwayUnit(Unit[HighwayState]):
    """One gradient highway unit; the memory of the units around it goes past.

    With X the features and W convolutions,

        P = tanh(W[X, Z]), S = σ(W[X, Z]), Z' = S·P + (1 − S)·Z

    Reference:
        Wang et al., PredRNN++ (2018), Eq 2.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        norm: Norm = "none",
        size: tuple[int, int] | None = None,
        bias: bool = False,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the features.
            hidden: Channels of the state.
            kernel: Width of the convolutions, odd.
            norm: Normalisation of the products of each map.
            size: (h, w) of the maps, for `norm="layer"`.
            bias: Whether the convolutions have a bias.
        """
        super().__init__()
        self.hidden = hidden
        self.from_features, self.from_state = (
            products(channels, 2 * hidden, kernel, kind=norm, size=size, bias=bias)
            for channels in (inputs, hidden)
        )

    def initial(self, features: Float[Tensor, "b *c h w"]) -> HighwayState:
        """Zeros for a batch of features of this size."""
        return HighwayState(self.zeros(features))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: HighwayState,
        memory: Float[Tensor, "b m h w"] | None = None,
    ) -> Turn[HighwayState]:
        """One frame."""
        new, switch = (self.from_features(features) + self.from_state(state.hidden)).chunk(2, 1)
        hidden = state.hidden + torch.sigmoid(switch) * (new.tanh() - state.hidden)
        return Turn(hidden, HighwayState(hidden), memory)
