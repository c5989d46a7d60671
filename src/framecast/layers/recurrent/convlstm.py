"""ConvLSTM: an LSTM whose products are convolutions."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.layers.recurrent.unit import Turn, Unit


class ConvLSTMState(NamedTuple):
    """Hidden state and cell."""

    hidden: Float[Tensor, "b k h w"]
    cell: Float[Tensor, "b k h w"]


class ConvLSTMUnit(Unit[ConvLSTMState]):
    """One ConvLSTM layer.

    The four gates are one convolution of the input and one of the hidden state. `peephole` adds the
    products of the cell with one weight per channel; `inputs=0` makes a layer without an input.

    Reference:
        Shi et al., Convolutional LSTM Network (2015), Eq 3.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        bias: bool = True,
        peephole: bool = False,
        forget_bias: float = 0.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the input; 0 for none.
            hidden: Channels of the hidden state and the cell.
            kernel: Width of both convolutions, odd.
            bias: Whether the gates have a bias.
            peephole: Whether the gates see the cell.
            forget_bias: Constant added to the forget gate.
        """
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.from_input = (
            nn.Conv2d(inputs, 4 * hidden, kernel, padding=kernel // 2, bias=False)
            if inputs
            else None
        )
        self.from_hidden = nn.Conv2d(hidden, 4 * hidden, kernel, padding=kernel // 2, bias=bias)
        self.peephole = nn.Parameter(torch.zeros(3, hidden, 1, 1)) if peephole else None

    def initial(self, features: Float[Tensor, "b *c h w"]) -> ConvLSTMState:
        """Zeros for a batch of features of this size."""
        zeros = self.zeros(features)
        return ConvLSTMState(zeros, zeros)

    def project(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n g h w"]:
        """The input's part of the gates, which a stack can make for all observed frames at once."""
        if self.from_input is None:
            raise ValueError("this unit was made without an input")
        return self.from_input(features)

    def step(
        self, projected: Float[Tensor, "b g h w"] | None, state: ConvLSTMState
    ) -> tuple[Float[Tensor, "b k h w"], ConvLSTMState]:
        """One time step: the new hidden state, which is the output, and the new state."""
        gates = self.from_hidden(state.hidden)
        if projected is not None:
            gates = gates + projected
        enter, forget, new, leave = gates.chunk(4, dim=1)
        if self.peephole is not None:
            enter = enter + self.peephole[0] * state.cell
            forget = forget + self.peephole[1] * state.cell
        kept = torch.sigmoid(forget + self.forget_bias) * state.cell
        cell = kept + torch.sigmoid(enter) * torch.tanh(new)
        if self.peephole is not None:
            leave = leave + self.peephole[2] * cell
        hidden = torch.sigmoid(leave) * torch.tanh(cell)
        return hidden, ConvLSTMState(hidden, cell)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: ConvLSTMState,
        memory: Tensor | None = None,
    ) -> Turn[ConvLSTMState]:
        """Project and step."""
        del memory
        return Turn(*self.step(self.project(features), state))
