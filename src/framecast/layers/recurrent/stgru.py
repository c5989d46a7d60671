"""STGRU: a spatiotemporal GRU with a temporal and a spatial state, and no hidden one."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.layers.norm import Norm
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.unit import Turn, Unit


class STGRUState(NamedTuple):
    """The temporal state."""

    temporal: Float[Tensor, "b k h w"]


class Gates(NamedTuple):
    """The two gates of a step, each in (0, 1)."""

    trend: Float[Tensor, "b k h w"]
    update: Float[Tensor, "b k h w"]


class STGRUUnit(Unit[STGRUState]):
    """One STGRU layer: the features that it takes and gives are the spatial state.

    The products of Eqs 5 and 6 are one convolution of each state, normalised.

    Reference:
        Chang et al., STIP (2022), Eqs 5–7.
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
        update_bias: float = 0.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the spatial state from below; the same as `hidden`.
            hidden: Channels of both states.
            kernel: Width of the convolutions, odd.
            norm: Normalisation of each state's products.
            size: (h, w) of the maps, for `norm="layer"`.
            bias: Whether the convolutions have a bias.
            update_bias: Constant added to the update gate.
        """
        super().__init__()
        if inputs != hidden:
            raise ValueError(f"an STGRU gives what it takes: {inputs} inputs, {hidden} hidden")
        self.hidden, self.update_bias = hidden, update_bias
        self.from_temporal, self.from_spatial = (
            products(hidden, 4 * hidden, kernel, kind=norm, size=size, bias=bias) for _ in range(2)
        )

    def initial(self, features: Float[Tensor, "b *c h w"]) -> STGRUState:
        """A temporal state of zeros."""
        return STGRUState(self.zeros(features))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: STGRUState,
        memory: Tensor | None = None,
    ) -> Turn[STGRUState]:
        """One frame: Eqs 5 to 7."""
        del memory
        temporal, spatial = state.temporal, features
        t_r, t_u, t_t, t_s = self.from_temporal(temporal).chunk(4, 1)
        s_r, s_u, s_t, s_s = self.from_spatial(spatial).chunk(4, 1)
        trend, update = self._gates(s_r + t_r, s_u + t_u)
        temporal_trend = torch.tanh(t_t + trend * s_t)
        spatial_trend = torch.tanh(s_s + trend * t_s)
        return Turn(
            spatial_trend + update * (spatial - spatial_trend),
            STGRUState(temporal_trend + update * (temporal - temporal_trend)),
        )

    def gates(self, features: Float[Tensor, "b c h w"], state: STGRUState) -> Gates:
        """R and U of Eq 5, as `forward` uses them, to be looked at."""
        t_r, t_u, *_ = self.from_temporal(state.temporal).chunk(4, 1)
        s_r, s_u, *_ = self.from_spatial(features).chunk(4, 1)
        return self._gates(s_r + t_r, s_u + t_u)

    def _gates(self, trend: Tensor, update: Tensor) -> Gates:
        return Gates(torch.sigmoid(trend), torch.sigmoid(update + self.update_bias))
