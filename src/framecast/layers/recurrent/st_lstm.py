"""ST-LSTM: a temporal memory and a spatial one, with gates of their own."""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.layers.norm import Norm
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.unit import Turn, Unit


class STLSTMState(NamedTuple):
    """Hidden state and temporal memory."""

    hidden: Float[Tensor, "b k h w"]
    cell: Float[Tensor, "b k h w"]


class STLSTMUnit(Unit[STLSTMState]):
    """One ST-LSTM layer.

    With X the features, M from the unit below and W convolutions,

        i, f = σ(W[X, H]), g = tanh(W[X, H]), C' = f·C + i·g
        i', f' = σ(W[X, M]), g' = tanh(W[X, M]), M' = f'·M + i'·g'
        o = σ(W[X, H, C', M']), H' = o·tanh(W₁ₓ₁[C', M'])

    Reference:
        Wang et al., PredRNN (2017), the equations of ST-LSTM.
    """

    zigzags: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        norm: Norm = "none",
        size: tuple[int, int] | None = None,
        bias: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the features.
            hidden: Channels of the hidden state and both memories.
            kernel: Width of the convolutions, odd.
            norm: Normalisation of the products of each map.
            size: (h, w) of the maps, for `norm="layer"`.
            bias: Whether the convolutions have a bias.
            forget_bias: Constant added to both forget gates.
        """
        super().__init__()
        self.hidden, self.forget_bias = hidden, forget_bias

        def gates(channels: int, count: int) -> nn.Sequential:
            return products(channels, count * hidden, kernel, kind=norm, size=size, bias=bias)

        self.from_features = gates(inputs, 7)
        self.from_hidden = gates(hidden, 4)
        self.from_memory = gates(hidden, 3)
        self.from_new = gates(2 * hidden, 1)
        self.merge = nn.Conv2d(2 * hidden, hidden, 1, bias=bias)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> STLSTMState:
        """Zeros for a batch of features of this size."""
        zeros = self.zeros(features)
        return STLSTMState(zeros, zeros)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: STLSTMState,
        memory: Float[Tensor, "b k h w"] | None = None,
    ) -> Turn[STLSTMState]:
        """One frame: both memories, then the output."""
        old = torch.zeros_like(state.cell) if memory is None else memory
        of_features = self.from_features(features).chunk(7, 1)
        of_hidden = self.from_hidden(state.hidden).chunk(4, 1)
        cell = self._renew(of_features[:3], of_hidden[:3], state.cell)
        new = self._renew(of_features[3:6], self.from_memory(old).chunk(3, 1), old)
        both = torch.cat([cell, new], 1)
        leave = torch.sigmoid(of_features[6] + of_hidden[3] + self.from_new(both))
        hidden = leave * torch.tanh(self.merge(both))
        return Turn(hidden, STLSTMState(hidden, cell), new)

    def _renew(self, one: tuple[Tensor, ...], other: tuple[Tensor, ...], memory: Tensor) -> Tensor:
        """Either memory, from the products of two maps with its three gates."""
        enter, forget, new = (a + b for a, b in zip(one, other, strict=True))
        kept = torch.sigmoid(forget + self.forget_bias) * memory
        return kept + torch.sigmoid(enter) * new.tanh()
