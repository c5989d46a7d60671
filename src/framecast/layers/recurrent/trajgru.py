"""TrajGRU: a GRU whose hidden state is read where learned flows point."""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers.recurrent.unit import Turn, Unit

SLOPE = 0.2
"""Of the leaky ReLU below zero."""
FLOW_CHANNELS = 32
"""Hidden channels of the network that makes the flows."""


class TrajGRUState(NamedTuple):
    """The hidden state."""

    hidden: Float[Tensor, "b k h w"]


class TrajGRUUnit(Unit[TrajGRUState]):
    """One TrajGRU layer of `links` flows.

    A small network, γ, makes a flow field per link from the input and the hidden state. The hidden
    state, warped along each, goes through one 1×1 convolution, which is the sum over the links of
    all three products. On CUDA the warp's gradient is added up in no fixed order.

    With 9 links, a `flow_kernel` of 3 gives the size that STIP (Table VII) counts, 1.68M; the
    authors' γ has 5 (1.80M).

    Reference:
        Shi et al., Deep Learning for Precipitation Nowcasting (2017), Eqs 2 and 3.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        links: int = 9,
        flow_kernel: int = 3,
        bias: bool = False,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the input.
            hidden: Channels of the hidden state.
            kernel: Width of the input's convolution and of the one that gives the flows, odd.
            links: L, the number of flow fields.
            flow_kernel: Width of the first convolutions of γ, odd.
            bias: Whether the gates, the candidate and both layers of γ have a bias.
        """
        super().__init__()
        self.hidden, self.links = hidden, links
        self.from_input = nn.Conv2d(inputs, 3 * hidden, kernel, padding=kernel // 2, bias=bias)
        self.from_warped = nn.Conv2d(links * hidden, 3 * hidden, 1, bias=False)
        near = flow_kernel // 2
        self.flow_from_input = nn.Conv2d(
            inputs, FLOW_CHANNELS, flow_kernel, padding=near, bias=bias
        )
        self.flow_from_hidden = nn.Conv2d(
            hidden, FLOW_CHANNELS, flow_kernel, padding=near, bias=False
        )
        self.to_flows = nn.Conv2d(FLOW_CHANNELS, 2 * links, kernel, padding=kernel // 2, bias=bias)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> TrajGRUState:
        """A hidden state of zeros."""
        return TrajGRUState(self.zeros(features))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: TrajGRUState,
        memory: Tensor | None = None,
    ) -> Turn[TrajGRUState]:
        """One frame: Eq 2."""
        del memory
        warped = warp(state.hidden, self.flows(features, state)).flatten(1, 2)
        warped = warped.to(self.from_warped.weight.dtype)
        x_z, x_r, x_h = self.from_input(features).chunk(3, 1)
        h_z, h_r, h_h = self.from_warped(warped).chunk(3, 1)
        reset = torch.sigmoid(x_r + h_r)
        candidate = functional.leaky_relu(x_h + reset * h_h, SLOPE)
        hidden = candidate + torch.sigmoid(x_z + h_z) * (state.hidden - candidate)
        return Turn(hidden, TrajGRUState(hidden))

    def flows(
        self, features: Float[Tensor, "b c h w"], state: TrajGRUState
    ) -> Float[Tensor, "b l 2 h w"]:
        """(U, V) of every link, in cells to the right and down: γ of Eq 2."""
        both = self.flow_from_input(features) + self.flow_from_hidden(state.hidden)
        flows = self.to_flows(functional.leaky_relu(both, SLOPE))
        return flows.unflatten(1, (self.links, 2))


def warp(
    maps: Float[Tensor, "b c h w"], flows: Float[Tensor, "b l 2 h w"]
) -> Float[Tensor, "b l c h w"]:
    """Read maps at the ends of flows, bilinearly; outside of the maps there is zero.

    Args:
        maps: What is read.
        flows: (U, V) of each cell, in cells to the right and down.

    Returns:
        The maps along each flow, in single precision at least, as fractions of a cell need it.

    Reference:
        Shi et al., Deep Learning for Precipitation Nowcasting (2017), Eq 3.
    """
    height, width = maps.shape[-2:]
    precision = torch.promote_types(maps.dtype, torch.float32)
    u, v = flows.to(precision).unbind(2)
    x = torch.arange(width, device=maps.device) + u
    y = torch.arange(height, device=maps.device)[:, None] + v
    # cell 0 is centred half a cell inside of −1; the links stand below one another
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1).flatten(1, 2)
    read = functional.grid_sample(maps.to(precision), grid, align_corners=False)
    return rearrange(read, "b c (l h) w -> b l c h w", h=height)
