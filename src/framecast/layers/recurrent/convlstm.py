"""ConvLSTM: an LSTM whose products are convolutions."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers.recurrent.unit import Turn, Unit
from framecast.layers.winograd import Planes


class ConvLSTMState(NamedTuple):
    """Hidden state and cell."""

    hidden: Float[Tensor, "b k *d h w"]
    cell: Float[Tensor, "b k *d h w"]


class ConvLSTMUnit(Unit[ConvLSTMState]):
    """One ConvLSTM layer, on maps `b c h w`, or with a `depth` on maps `b c d h w`.

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
        depth: int | None = None,
        bias: bool = True,
        peephole: bool = False,
        forget_bias: float = 0.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the input; 0 for none.
            hidden: Channels of the hidden state and the cell.
            kernel: Height and width of both convolutions, odd.
            depth: Their depth, odd, for maps `b c d h w`; None for maps `b c h w`.
            bias: Whether the gates have a bias.
            peephole: Whether the gates see the cell.
            forget_bias: Constant added to the forget gate.
        """
        super().__init__()
        self.hidden = hidden
        self.forget_bias = forget_bias
        self.axes = 2 if depth is None else 3
        gates = 4 * hidden

        def convolution(channels: int, bias: bool) -> nn.Conv2d | nn.Conv3d:
            if depth is None:
                return Planes(channels, gates, kernel, bias=bias)
            size = (depth, kernel, kernel)
            padding = (depth // 2, kernel // 2, kernel // 2)
            return nn.Conv3d(channels, gates, size, padding=padding, bias=bias)

        self.from_input = convolution(inputs, bias=False) if inputs else None
        self.from_hidden = convolution(hidden, bias)
        ones = (1,) * self.axes
        self.peephole = nn.Parameter(torch.zeros(3, hidden, *ones)) if peephole else None

    def initial(self, features: Float[Tensor, "b *c h w"]) -> ConvLSTMState:
        """Zeros for a batch of features of this size."""
        zeros = self.zeros(features)
        return ConvLSTMState(zeros, zeros)

    def project(
        self, features: Float[Tensor, "n c *d h w"], first: int | None = None
    ) -> Float[Tensor, "n g *d h w"]:
        """The input's part of the gates, which a stack can make for all observed frames at once.

        Args:
            features: The whole input; or, with `first`, some of its channels one behind the other.
                The products of all its parts add up to the product of the whole.
            first: Which channel of the input the first one of `features` is; None for the whole.

        Raises:
            ValueError: if the unit was made without an input, or the input has no such channels.
        """
        if self.from_input is None:
            raise ValueError("this unit was made without an input")
        if first is None:
            return self.from_input(features)
        last, inputs = first + features.shape[1], self.from_input.in_channels
        if not 0 <= first < last <= inputs:
            raise ValueError(f"channels {first} to {last - 1} are not within an input of {inputs}")
        convolve = functional.conv2d if self.axes == 2 else functional.conv3d
        weight = self.from_input.weight[:, first:last]
        return convolve(features, weight, padding=[width // 2 for width in weight.shape[2:]])

    def step(
        self, projected: Float[Tensor, "b g *d h w"] | None, state: ConvLSTMState
    ) -> tuple[Float[Tensor, "b k *d h w"], ConvLSTMState]:
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
        features: Float[Tensor, "b c *d h w"],
        state: ConvLSTMState,
        memory: Tensor | None = None,
    ) -> Turn[ConvLSTMState]:
        """Project and step."""
        del memory
        return Turn(*self.step(self.project(features), state))
