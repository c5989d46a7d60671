"""Reversible predictive module: a recurrent layer whose features can be had back."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.st_lstm import STLSTMState, STLSTMUnit
from framecast.layers.recurrent.unit import Turn, Unit


class ReversiblePMUnit(Unit[STLSTMState]):
    """One layer of the reversible predictive module: an ST-LSTM, and an attention that lets it in.

    The features are two halves. The first goes through the ST-LSTM, whose hidden state H is mixed
    into the second by a gate that sees H alone; then the halves swap roles:

        H = ST-LSTM(x₁), g = σ(W ReLU(… W H)), y₁ = (1 − g)·x₂ + g·H, y₂ = x₁

    So x₁ = y₂, and with H known x₂ = (y₁ − g·H) / (1 − g): nothing of the features is lost.

    With `inputs = 2 * hidden` the features are the halves, one after the other along the channels,
    and the output is [y₁, y₂]. With `inputs = hidden`, for stacks with features as wide as the
    memories, they are both halves and the output is y₁.

    At 128 channels and kernel 5 these are 18 5×5 and three 1×1 products of a map, the 7.08M weights
    (M = 2^20) of Table VII of STIP, which does not say where they are. Decided here: 16 and two are
    the ST-LSTM, and the attention has kernels 5, 5 and 1. The authors' programs have kernels 1, 3
    and 1 for maps `h w`, a single 1 for maps `d h w`, and gates that see C and C' too.

    Reference:
        Yu et al., CrevNet (2020), the reversible predictive module.
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
        attention: Sequence[int] | None = None,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the features: twice `hidden`, or as many.
            hidden: Channels of a half, of the hidden state and of both memories.
            kernel: Width of the ST-LSTM's convolutions, odd.
            norm: Normalisation of the ST-LSTM's products, and between the attention's convolutions.
            size: (h, w) of the maps, for `norm="layer"`.
            bias: Whether the convolutions have a bias.
            forget_bias: Constant added to both forget gates.
            attention: Widths of the attention's convolutions, odd; None for `kernel` twice, then 1.

        Raises:
            ConfigError: if the features are neither one half nor two.
        """
        super().__init__()
        if inputs not in (hidden, 2 * hidden):
            raise ConfigError(
                f"a reversible unit of {hidden} hidden channels takes {hidden} or {2 * hidden} "
                f"inputs, not {inputs}"
            )
        widths = (kernel, kernel, 1) if attention is None else tuple(attention)
        if not widths:
            raise ConfigError("the attention needs a convolution: give the width of one at least")
        self.hidden = hidden
        self.recurrent = STLSTMUnit(
            hidden, hidden, kernel, norm=norm, size=size, bias=bias, forget_bias=forget_bias
        )
        layers: list[nn.Module] = []
        for width, _ in pairwise(widths):
            layers += [
                products(hidden, hidden, width, kind=norm, size=size, bias=bias),
                nn.ReLU(),
            ]
        layers.append(nn.Conv2d(hidden, hidden, widths[-1], padding=widths[-1] // 2, bias=bias))
        self.attention = nn.Sequential(*layers)

    def initial(self, features: Float[Tensor, "b *c h w"]) -> STLSTMState:
        """The ST-LSTM's zeros."""
        return self.recurrent.initial(features)

    def gate(self, hidden: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        """Share of the hidden state in the second half, in (0, 1)."""
        return torch.sigmoid(self.attention(hidden))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: STLSTMState,
        memory: Float[Tensor, "b k h w"] | None = None,
    ) -> Turn[STLSTMState]:
        """One frame: the ST-LSTM on one half, the mixture with the other, the swap."""
        paired = features.shape[1] == 2 * self.hidden
        first, second = features.chunk(2, 1) if paired else (features, features)
        turn = self.recurrent(first, state, memory)
        mixed = second + self.gate(turn.output) * (turn.output - second)
        output = torch.cat([mixed, first], 1) if paired else mixed
        return Turn(output, turn.state, turn.memory)
