"""The latent variable z_t: posterior and prior as products over groups, and the frame predictor.

Reference:
    Lin et al., HAF-SVG (IJCAI 2020), Eqs 2 to 4; the networks are those of Denton, Fergus, SVG
    (ICML 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.typed import Layers

LSTMState = tuple[Tensor, Tensor]
"""Hidden state and cell, `n hidden` each."""
LSTMStates = tuple[LSTMState, ...]


@dataclass(frozen=True)
class LatentConfig(Config):
    """Sizes of z_t and of the networks that infer it."""

    size: int = 16
    """Numbers in z_t."""
    groups: int = 1
    """G: group j is inferred knowing groups 1, …, j − 1. One group is SVG."""
    per: Literal["frame", "group"] = "frame"
    """Whether `size` counts all numbers of a frame, which the groups share, or those of a group."""
    hidden: int = 256
    """Cells of the LSTM of a group."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.size, self.groups, self.hidden) < 1:
            raise ConfigError("size, groups and hidden are at least 1")
        if self.per == "frame" and self.size % self.groups:
            raise ConfigError(
                f"{self.size} numbers cannot be shared by {self.groups} groups; use a divisor"
            )

    @property
    def group(self) -> int:
        """Numbers in a group."""
        return self.size // self.groups if self.per == "frame" else self.size

    @property
    def total(self) -> int:
        """Numbers in a frame."""
        return self.group * self.groups


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution of independent numbers."""

    mean: Float[Tensor, "*n d"]
    log_variance: Float[Tensor, "*n d"]

    def drawn(self, noise: Float[Tensor, "*n d"] | None) -> Float[Tensor, "*n d"]:
        """A draw made of standard normal noise; the mean without any."""
        if noise is None:
            return self.mean
        return self.mean + (self.log_variance / 2).exp() * noise


def divergence(q: Gaussian, p: Gaussian) -> Float[Tensor, "*n"]:
    """D_KL(q‖p) in nats, summed over the numbers."""
    q_log, p_log = q.log_variance.float(), p.log_variance.float()
    squared = (q.mean.float() - p.mean.float()).square()
    ratio = (q_log.exp() + squared) / p_log.exp()
    return ((p_log - q_log + ratio - 1) / 2).sum(-1)


class GaussianLSTM(nn.Module):
    """A linear layer, one LSTM cell, and heads for mean and log-variance."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        """Make the four layers."""
        super().__init__()
        self.embed = nn.Linear(inputs, hidden)
        self.cell = nn.LSTMCell(hidden, hidden)
        self.mean = nn.Linear(hidden, outputs)
        self.log_variance = nn.Linear(hidden, outputs)

    def forward(self, x: Float[Tensor, "n i"], state: LSTMState) -> tuple[Gaussian, LSTMState]:
        """The distribution after one more input."""
        state = self.cell(self.embed(x), state)
        return Gaussian(self.mean(state[0]), self.log_variance(state[0])), state


@dataclass(frozen=True)
class Inferred:
    """One time step of a posterior or a prior."""

    groups: tuple[Gaussian, ...]
    z: Float[Tensor, "n z"]  # what the groups were conditioned on, all of them together
    states: LSTMStates


class Hierarchy(nn.Module):
    """A distribution of z_t in groups; the posterior φ and the prior ψ are one each.

    Reference:
        HAF-SVG, Eqs 2 to 4.
    """

    def __init__(self, features: int, config: LatentConfig) -> None:
        """Make an LSTM per group; that of group j takes the features and z^{1:j−1}."""
        super().__init__()
        self.hidden, self.size = config.hidden, config.group
        self.lstms = Layers[GaussianLSTM](
            GaussianLSTM(features + number * config.group, config.hidden, config.group)
            for number in range(config.groups)
        )

    def initial(self, like: Float[Tensor, "n d"]) -> LSTMStates:
        """Zeros, for as many rows."""
        return tuple(_zeros(like, self.hidden) for _ in self.lstms)

    def given(
        self, x: Float[Tensor, "n d"], z: Float[Tensor, "n z"], states: LSTMStates
    ) -> Inferred:
        """The groups' distributions conditioned on a z from elsewhere."""
        return self._advance(x, states, z.split(self.size, -1), None, ())

    def drawn(
        self,
        x: Float[Tensor, "n d"],
        states: LSTMStates,
        noise: Float[Tensor, "n z"] | None,
        zeroed: Sequence[int] = (),
    ) -> Inferred:
        """A draw, group after group.

        Args:
            x: Features h.
            states: Of the LSTMs.
            noise: Standard normal; None for means.
            zeroed: Numbers, from 1, of groups that are zero instead, also for those after them.
        """
        return self._advance(x, states, None, noise, zeroed)

    def _advance(
        self,
        x: Tensor,
        states: LSTMStates,
        given: Sequence[Tensor] | None,
        noise: Tensor | None,
        zeroed: Sequence[int],
    ) -> Inferred:
        parts, groups, new = list[Tensor](), [], []
        for number, lstm in enumerate(self.lstms):
            gaussian, state = lstm(torch.cat([x, *parts], -1), states[number])
            mine = None if noise is None else noise.split(self.size, -1)[number]
            part = gaussian.drawn(mine) if given is None else given[number]
            parts.append(torch.zeros_like(part) if number + 1 in zeroed else part)
            groups.append(gaussian)
            new.append(state)
        return Inferred(tuple(groups), torch.cat(parts, -1), tuple(new))


class Predictor(nn.Module):
    """LSTM_θ: the next frame's features from those of the last one and z_t."""

    def __init__(self, features: int, latent: int, hidden: int, layers: int) -> None:
        """Make the layers."""
        super().__init__()
        self.hidden = hidden
        self.embed = nn.Linear(features + latent, hidden)
        self.cells = Layers[nn.LSTMCell](nn.LSTMCell(hidden, hidden) for _ in range(layers))
        self.output = nn.Sequential(nn.Linear(hidden, features), nn.Tanh())

    def initial(self, like: Float[Tensor, "n d"]) -> LSTMStates:
        """Zeros, for as many rows."""
        return tuple(_zeros(like, self.hidden) for _ in self.cells)

    def forward(
        self, x: Float[Tensor, "n d"], z: Float[Tensor, "n z"], states: LSTMStates
    ) -> tuple[Float[Tensor, "n d"], LSTMStates]:
        """The vector for the decoder."""
        x, new = self.embed(torch.cat([x, z], -1)), []
        for cell, state in zip(self.cells, states, strict=True):
            new.append(cell(x, state))
            x = new[-1][0]
        return self.output(x), tuple(new)


def _zeros(like: Tensor, hidden: int) -> LSTMState:
    return like.new_zeros(len(like), hidden), like.new_zeros(len(like), hidden)
