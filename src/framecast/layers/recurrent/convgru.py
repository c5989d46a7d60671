"""ConvGRU: a GRU whose products are convolutions."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.layers.recurrent.unit import Turn, Unit


class ConvGRUState(NamedTuple):
    """The hidden state."""

    hidden: Float[Tensor, "b k h w"]


class ConvGRUUnit(Unit[ConvGRUState]):
    """One ConvGRU layer.

    The three products of the input are one convolution, and so are the hidden state's for both
    gates; the candidate's product is of the hidden state after its reset, so it waits for the gate.
    Shi et al. (2017, Eq 1) publish another ConvGRU of the same size, which resets the product
    itself and has a leaky ReLU for the tanh; the comparison of units in STIP (Table VII) cites
    this one.

    Reference:
        Ballas et al., Delving Deeper into Convolutional Networks for Learning Video
        Representations (2016), GRU-RCN: the update gate, reset gate, candidate and hidden state.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 5, *, bias: bool = False) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the input.
            hidden: Channels of the hidden state.
            kernel: Width of the convolutions, odd.
            bias: Whether the gates and the candidate have a bias.
        """
        super().__init__()
        self.hidden = hidden
        self.from_input = nn.Conv2d(inputs, 3 * hidden, kernel, padding=kernel // 2, bias=bias)
        self.from_hidden = nn.Conv2d(hidden, 2 * hidden, kernel, padding=kernel // 2, bias=False)
        self.from_reset = nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, bias=False)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> ConvGRUState:
        """A hidden state of zeros."""
        return ConvGRUState(self.zeros(features))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: ConvGRUState,
        memory: Tensor | None = None,
    ) -> Turn[ConvGRUState]:
        """One frame."""
        del memory
        hidden = self.update(features, state.hidden)
        return Turn(hidden, ConvGRUState(hidden))

    def update(
        self, features: Float[Tensor, "b c h w"], hidden: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b k h w"]:
        """The new hidden state: z, r, h̃ and h of the reference."""
        x_z, x_r, x_h = self.from_input(features).chunk(3, 1)
        h_z, h_r = self.from_hidden(hidden).chunk(2, 1)
        reset = torch.sigmoid(x_r + h_r)
        candidate = torch.tanh(x_h + self.from_reset(reset * hidden))
        return hidden + torch.sigmoid(x_z + h_z) * (candidate - hidden)
