"""RPM: a residual predictive memory that keeps its last states."""

from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.norm import norm as normalise
from framecast.layers.recurrent.products import products
from framecast.layers.recurrent.unit import Turn, Unit


class RPMState(NamedTuple):
    """Hidden state, and the last temporal memories, the newest in the last channels."""

    hidden: Float[Tensor, "b k h w"]
    cells: Float[Tensor, "b n h w"]


class RPMUnit(Unit[RPMState]):
    """One RPM layer.

    With T, S, O the temporal, the spatial and the output features, and W convolutions that differ,

        a = W T + W H, C' = σ(a)·tanh(a) + σ(a + 1)·W[the last τ C of this unit]
        b = W S + W M, M' = σ(b)·tanh(b) + σ(b + 1)·W[the last τ M of the stream]
        o = σ(W O + W H + W[C', M']), H' = o·tanh(W₁ₓ₁[C', M']) + W₁ₓ₁[T, S, o]

    so a memory has three gates but one product of each map for all of them. The second stream is
    the last τ maps M, from the units below and the frame before, the newest in the last channels.
    At 128 channels, kernel 5 and τ = 5 these are 17 5×5 and five 1×1 products of a map: 6.72M
    weights (M = 2^20), as Table VII of STIP has it.

    Where the authors' program and its purpose differ, or a stack of units leaves a choice:

    - T, S and O come from three encoders in the lowest layer of their model and are the same map in
      all others; here they are the features.
    - For T = S their program adds T itself rather than W₁ₓ₁[T, S, o]: that is `residual="plain"`.
      Table VII counts the convolution, so it is the default.
    - The third map of that convolution is the gate o, as the program runs, not the features O.
    - The program's list of past C holds one map τ times over, the newest. Here they are the C of
      the last τ frames; before the first one, zeros.
    - H' with the residual is both the output and the next frame's H.

    Reference:
        Chang et al., STRPM (2022), the residual predictive memory.
    """

    zigzags: ClassVar[bool] = True

    def __init__(
        self,
        inputs: int,
        hidden: int,
        kernel: int = 5,
        *,
        history: int = 5,
        residual: Literal["merged", "plain"] = "merged",
        norm: Norm = "none",
        size: tuple[int, int] | None = None,
        bias: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        """Make the convolutions.

        Args:
            inputs: Channels of the features.
            hidden: Channels of the hidden state and of a memory.
            kernel: Width of the convolutions, odd.
            history: τ, how many past maps of either memory are kept, at least 1.
            residual: What is added to the output: a 1×1 of the features and the gate, or the
                features themselves.
            norm: Normalisation of each product but those with 1×1.
            size: (h, w) of the maps, for `norm="layer"`.
            bias: Whether the convolutions have a bias.
            forget_bias: Constant added to both forget gates, 1 above.

        Raises:
            ConfigError: if nothing is kept, or the features to add have other channels.
        """
        super().__init__()
        if history < 1:
            raise ConfigError(f"an RPM keeps one map at least, not {history}: give another history")
        if residual == "plain" and inputs != hidden:
            raise ConfigError(
                f"{inputs} inputs cannot be added to {hidden} hidden channels: "
                "use residual 'merged' or as many of both"
            )
        self.hidden, self.history, self.forget_bias = hidden, history, forget_bias
        pad = kernel // 2

        def gate(channels: int) -> nn.Sequential:
            return products(channels, hidden, kernel, kind=norm, size=size, bias=bias)

        self.from_features = nn.Conv2d(inputs, 3 * hidden, kernel, padding=pad, bias=bias)
        self.norms = nn.ModuleList(normalise(norm, hidden, size) for _ in range(3))
        self.from_hidden = gate(hidden)
        self.from_memory = gate(hidden)
        self.from_cells = gate(history * hidden)
        self.from_memories = gate(history * hidden)
        self.from_new = gate(2 * hidden)
        self.merge = nn.Conv2d(2 * hidden, hidden, 1, bias=bias)
        self.residual = (
            nn.Conv2d(2 * inputs + hidden, hidden, 1, bias=bias) if residual == "merged" else None
        )

    def initial(self, features: Float[Tensor, "b *c h w"]) -> RPMState:
        """Zeros for a batch of features of this size, as if all past frames had left them."""
        return RPMState(self.zeros(features, 1), self.zeros(features, self.history))

    def forward(
        self,
        features: Float[Tensor, "b c h w"],
        state: RPMState,
        memory: Float[Tensor, "b m h w"] | None = None,
    ) -> Turn[RPMState]:
        """One frame: both memories, the output with its residual."""
        memories = self.zeros(features, self.history) if memory is None else memory
        of_features = self.from_features(features).chunk(3, 1)
        temporal, spatial, leave = (
            layer(part) for layer, part in zip(self.norms, of_features, strict=True)
        )
        of_hidden = self.from_hidden(state.hidden)
        newest = memories[:, -self.hidden :]
        cell = self._renew(temporal + of_hidden, self.from_cells(state.cells))
        new = self._renew(spatial + self.from_memory(newest), self.from_memories(memories))
        both = torch.cat([cell, new], 1)
        gate = torch.sigmoid(leave + of_hidden + self.from_new(both))
        hidden = gate * torch.tanh(self.merge(both)) + self._residual(features, gate)
        return Turn(
            hidden,
            RPMState(hidden, self._remember(state.cells, cell)),
            self._remember(memories, new),
        )

    def _renew(self, drive: Tensor, past: Tensor) -> Tensor:
        """Either memory: what is new, and what is kept of the past."""
        forget = torch.sigmoid(drive + self.forget_bias)
        return torch.sigmoid(drive) * torch.tanh(drive) + forget * past

    def _residual(self, features: Tensor, gate: Tensor) -> Tensor:
        if self.residual is None:
            return features
        return self.residual(torch.cat([features, features, gate], 1))

    def _remember(self, past: Tensor, new: Tensor) -> Tensor:
        """The last τ maps with a new one."""
        return torch.cat([past[:, self.hidden :], new], 1)
