"""Causal LSTM: a temporal memory, then a spatial one that sees it, in a cascade."""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.layers.norm import Norm
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.unit import Turn, Unit


class CausalLSTMState(NamedTuple):
    """Hidden state and temporal memory."""

    hidden: Float[Tensor, "b k h w"]
    cell: Float[Tensor, "b k h w"]


class CausalLSTMUnit(Unit[CausalLSTMState]):
    """One Causal LSTM layer, as its authors' program has it.

    With X the features, M from the unit below and W convolutions,

        i, f = σ(W[X, H, C]), g = tanh(W[X, H, C]), C' = f·C + i·g
        i', f' = σ(W[X, C', M]), g' = tanh(W[X, C']), M' = f'·tanh(W M) + i'·g'
        o = tanh(W[X, H, C', M']), H' = o·tanh(W₁ₓ₁[C', M'])

    In the paper g' sees M as well and o does not see H, which are as many weights: 22 products of a
    map with a gate, and the 1×1 of two maps. That is 8.63M weights (M = 2^20) at 128 channels and
    kernel 5; the 7.20M that Table VII of STIP gives for this unit come from neither layout.

    Reference:
        Wang et al., PredRNN++ (2018), Eq 1.
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
        self.from_cell = gates(hidden, 3)
        self.from_memory = gates(hidden, 3)
        self.from_new_cell = gates(hidden, 4)
        self.from_new_memory = gates(hidden, 1)
        self.merge = nn.Conv2d(2 * hidden, hidden, 1, bias=bias)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> CausalLSTMState:
        """Zeros for a batch of features of this size."""
        zeros = self.zeros(features)
        return CausalLSTMState(zeros, zeros)

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: CausalLSTMState,
        memory: Float[Tensor, "b k h w"] | None = None,
    ) -> Turn[CausalLSTMState]:
        """One frame: the temporal memory, the spatial one, the output."""
        old = torch.zeros_like(state.cell) if memory is None else memory
        of_features = self.from_features(features).chunk(7, 1)
        of_hidden = self.from_hidden(state.hidden).chunk(4, 1)
        cell = self._temporal(of_features[:3], of_hidden[:3], state.cell)
        of_cell = self.from_new_cell(cell).chunk(4, 1)
        new = self._spatial(of_features[3:6], of_cell[:3], old)
        leave = torch.tanh(of_features[6] + of_hidden[3] + of_cell[3] + self.from_new_memory(new))
        hidden = leave * torch.tanh(self.merge(torch.cat([cell, new], 1)))
        return Turn(hidden, CausalLSTMState(hidden, cell), new)

    def _temporal(self, one: tuple[Tensor, ...], other: tuple[Tensor, ...], cell: Tensor) -> Tensor:
        """C' of what features and hidden state give its gates."""
        of_cell = self.from_cell(cell).chunk(3, 1)
        enter, forget, new = (a + b + c for a, b, c in zip(one, other, of_cell, strict=True))
        return torch.sigmoid(forget + self.forget_bias) * cell + torch.sigmoid(enter) * new.tanh()

    def _spatial(
        self, one: tuple[Tensor, ...], other: tuple[Tensor, ...], memory: Tensor
    ) -> Tensor:
        """M' of what features and C' give its gates."""
        enter, forget, new = (a + b for a, b in zip(one, other, strict=True))
        enter_m, forget_m, kept = self.from_memory(memory).chunk(3, 1)
        forget = torch.sigmoid(forget + forget_m + self.forget_bias)
        return forget * kept.tanh() + torch.sigmoid(enter + enter_m) * new.tanh()
