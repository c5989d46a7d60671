"""Drawing tokens one after another, by three samplers that give the same tokens.

A slice is what is drawn at a time: a frame's tokens of one layer, or a slice of a volume, positions
in raster order. By Gumbel-max a draw is a pure function of logits and noise given beforehand, so
the tokens of a slice are the only ones that agree with their own logits, and it does not matter in
which way they are found:

- `naive` evaluates everything for every position;
- `cached` evaluates one position from what earlier ones have left behind;
- `fixed_point` evaluates a whole slice from a guess, until the guess agrees with its logits.

A network takes part by one object per slice: `Parallel` for `naive` and `fixed_point`, `Stepwise`
for `cached`. To compute everything from nothing or from a cache is that object's affair.

Reference:
    Wiggers, Hoogeboom, Predictive Sampling with Forecasting Autoregressive Models (2020);
    Song et al., Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving
    (2021), where the iteration is called Jacobi's.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from framecast.errors import ConfigError
from framecast.model import Options

Sampler = Literal["auto", "naive", "cached", "fixed-point"]
"""`auto` is what measured fastest on a CPU: `fixed-point` for one row, `cached` for more, where
attention outweighs small steps and the slowest row decides on the passes; for Video VQ-VAE `cached`
for any. Elsewhere, where small steps are dear, `fixed-point`."""


Named = Literal["naive", "cached", "fixed-point"]
"""A sampler by its own name."""


def default_sampler(device: torch.device, rows: int) -> Named:
    """What `auto` stands for on a device, for so many rows at once."""
    return "cached" if device.type == "cpu" and rows > 1 else "fixed-point"


@runtime_checkable
class Parallel(Protocol):
    """A slice of a network that gives all of its logits at once."""

    def logits(self, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r p m"]:
        """Logits of every position; those of position k depend on tokens before k alone."""
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A slice of a network that is gone through from the first position to the last."""

    def step(self, position: int, tokens: Int64[Tensor, "r p"]) -> Float[Tensor, "r m"]:
        """Logits of one position, given the tokens before it."""
        ...


@dataclass(frozen=True)
class Rule:
    """How logits and noise become tokens."""

    temperature: float = 1.0
    """Divides the logits."""
    top_k: int | None = None
    """Only the k largest logits can win; None for all."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.temperature > 0:
            raise ConfigError(f"temperature is above 0, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k is at least 1 or None, got {self.top_k}")

    def choose(
        self, logits: Float[Tensor, "*n m"], noise: Float[Tensor, "*n m"] | None
    ) -> Int64[Tensor, "*n"]:
        """The tokens that logits and standard Gumbel noise give; the likeliest without noise."""
        if noise is None:
            return logits.argmax(-1)
        scores = logits if self.temperature == 1 else logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = scores.topk(self.top_k, -1).values[..., -1:]
            scores = scores.masked_fill(scores < least, -math.inf)
        return (scores + noise).argmax(-1)


@dataclass(frozen=True)
class DrawOptions(Options):
    """How codes are drawn; without samples they are the likeliest."""

    temperature: float = 1.0
    """Divides the logits of samples: below 1 for likelier ones."""
    top_k: int | None = None
    """Draw among the k likeliest values of a code alone; None among all."""
    sampler: Sampler = "auto"
    """Which of the samplers draws; all draw the same."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        Rule(self.temperature, self.top_k)

    @property
    def rule(self) -> Rule:
        """How logits and noise become tokens."""
        return Rule(self.temperature, self.top_k)


@dataclass(frozen=True)
class Draw:
    """The tokens of a slice."""

    tokens: Int64[Tensor, "r p"]
    logits: Float[Tensor, "r p m"]
    passes: int  # evaluations of the network that had to wait for one another

    @property
    def log_prob(self) -> Float[Tensor, " r"]:
        """Log-probability of the tokens by the untempered network, in nats."""
        logits = self.logits.to(torch.promote_types(self.logits.dtype, torch.float32))
        return logits.log_softmax(-1).gather(2, self.tokens.unsqueeze(2)).sum((1, 2))


def naive(
    network: Parallel,
    guess: Int64[Tensor, "r p"],
    noise: Float[Tensor, "r p m"] | None,
    rule: Rule,
) -> Draw:
    """Evaluate the whole slice for every position.

    Args:
        network: The slice.
        guess: Tokens to start from; the result does not depend on them.
        noise: Standard Gumbel noise; None for the likeliest token of every position.
        rule: How tokens are chosen.
    """
    tokens, kept = guess.clone(), []
    for position in range(guess.shape[1]):
        logits = network.logits(tokens)[:, position]
        tokens[:, position] = rule.choose(logits, None if noise is None else noise[:, position])
        kept.append(logits)
    return Draw(tokens, torch.stack(kept, 1), len(kept))


def cached(
    network: Stepwise,
    guess: Int64[Tensor, "r p"],
    noise: Float[Tensor, "r p m"] | None,
    rule: Rule,
) -> Draw:
    """Evaluate position by position, from what earlier ones have left behind.

    The arguments are those of `naive`.
    """
    tokens, kept = torch.empty_like(guess), []
    places = tokens.unbind(1)
    drawn = [None] * len(places) if noise is None else noise.unbind(1)
    for position, (place, one) in enumerate(zip(places, drawn, strict=True)):
        logits = network.step(position, tokens)
        place.copy_(rule.choose(logits, one))
        kept.append(logits)
    return Draw(tokens, torch.stack(kept, 1), len(kept))


def fixed_point(
    network: Parallel,
    guess: Int64[Tensor, "r p"],
    noise: Float[Tensor, "r p m"] | None,
    rule: Rule,
) -> Draw:
    """Evaluate the whole slice from the guess, and go on from the tokens that come out.

    A token whose predecessors are right is right after one pass and stays so: at least one more
    with every pass, and most of them at once where the guess is good. The arguments are those of
    `naive`.
    """
    tokens, settled, passes = guess, 0, 0
    count = guess.shape[1]
    logits = None
    while logits is None or settled < count:
        logits, passes = network.logits(tokens), passes + 1
        new = rule.choose(logits, noise)
        # rounding may not move what is settled
        new[:, :settled] = tokens[:, :settled]
        different = (new != tokens).any(0)
        first = int(different.int().argmax()) if bool(different.any()) else count
        tokens, settled = new, first + 1
    return Draw(tokens, logits, passes)


def draw(
    sampler: Named,
    network: Parallel | Stepwise,
    guess: Int64[Tensor, "r p"],
    noise: Float[Tensor, "r p m"] | None,
    rule: Rule,
) -> Draw:
    """Draw by one of the samplers; the other arguments are those of `naive`."""
    if sampler == "cached":
        assert isinstance(network, Stepwise)
        return cached(network, guess, noise, rule)
    assert isinstance(network, Parallel)
    return (naive if sampler == "naive" else fixed_point)(network, guess, noise, rule)
