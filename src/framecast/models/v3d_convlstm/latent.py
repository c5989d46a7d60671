"""The latent maps z_t: prior and posterior, and what keeps them together.

Reference:
    Razali, Fernando, A Log-likelihood Regularized KL Divergence for Video Prediction With a 3D
    Convolutional Variational Recurrent Network (2020), Eqs 1 to 4 and 8 to 13.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from framecast.config import Config

LatentLoss = Literal["paper", "kl", "kl+ll"]

SMALLEST, LARGEST = 1e-2, 10.0
"""Range of σ. Without a floor Eq 13 has none either: with equal means and σ_p = σ_q it is log σ − ½
+ ½, as low as one likes. See `Bounded`."""


@dataclass(frozen=True)
class Gaussian:
    """A normal distribution of independent numbers."""

    mean: Float[Tensor, "n z d h w"]  # μ
    deviation: Float[Tensor, "n z d h w"]  # σ

    def drawn(self, noise: Float[Tensor, "m z d h w"] | None) -> Float[Tensor, "m z d h w"]:
        """A draw made of standard normal noise; the mean without any.

        With s samples of n rows the noise has s·n rows, samples first.

        Reference:
            Eqs 3 and 4.
        """
        if noise is None:
            return self.mean
        draws = noise.unflatten(0, (-1, len(self.mean)))
        return (self.mean + self.deviation * draws).flatten(0, 1)


class GaussianMaps(nn.Module):
    """f_p or f_q: one convolution, and two heads, for μ and σ, that are one convolution as well.

    The posterior's first convolution takes the hidden state and the target's features, one after
    the other; as it is linear, the target's share can be made for all windows at once.

    Reference:
        Eqs 1 and 2.
    """

    def __init__(self, hidden: int, features: int, trunk: int, latent: int, depth: int) -> None:
        """Make the convolutions.

        Args:
            hidden: Channels of the hidden state.
            features: Channels of the target's features; 0 for the prior, which sees none.
            trunk: Channels between.
            latent: Channels of z.
            depth: Size of the kernels in time.
        """
        super().__init__()
        self.hidden = hidden
        size, padding = (depth, 3, 3), (depth // 2, 1, 1)
        self.trunk = nn.Conv3d(hidden + features, trunk, size, padding=padding)
        self.heads = nn.Conv3d(trunk, 2 * latent, size, padding=padding)

    def share(self, features: Float[Tensor, "n c d h w"]) -> Float[Tensor, "n k d h w"]:
        """The target's share of the first convolution."""
        return share(self.trunk, features, slice(self.hidden, None))

    def forward(
        self,
        hidden: Float[Tensor, "n c d h w"],
        target: Float[Tensor, "n k d h w"] | None = None,
    ) -> Gaussian:
        """The distribution that a hidden state gives, for the posterior with the target's share."""
        trunk = share(self.trunk, hidden, slice(self.hidden), self.trunk.bias)
        mean, spread = self.heads((trunk if target is None else trunk + target).relu()).chunk(2, 1)
        # in single precision at least: squares and quotients of it are to come
        precise = torch.promote_types(spread.dtype, torch.float32)
        deviation = Bounded.apply(functional.softplus(spread.to(precise)))
        return Gaussian(mean.to(precise), deviation)


class Bounded(Function):
    """σ within its range; beyond it, only gradients pass that lead back.

    A clamp's own gradient is zero there: σ would never rise from its floor again.
    """

    @staticmethod
    def forward(ctx: Any, deviation: Tensor) -> Tensor:
        """Clamp."""
        ctx.save_for_backward(deviation)
        return deviation.clamp(SMALLEST, LARGEST)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Of what goes down the gradient."""
        (deviation,) = ctx.saved_tensors
        sinks = (deviation < SMALLEST) & (gradient > 0)
        rises = (deviation > LARGEST) & (gradient < 0)
        return gradient.masked_fill(sinks | rises, 0)


def share(
    convolution: nn.Conv3d, x: Tensor, inputs: slice, bias: Tensor | None = None
) -> Float[Tensor, "n k d h w"]:
    """What some of the input channels add to the outcome of a convolution."""
    padding = convolution.padding
    assert not isinstance(padding, str)
    return functional.conv3d(x, convolution.weight[:, inputs], bias, padding=padding)


@dataclass(frozen=True)
class LatentWeights(Config):
    """Coefficients of Eq 13; with 1, 1, 1, 1 it is Eq 9."""

    log_posterior: float = 2.0
    """Of log σ_q."""
    log_prior: float = 1.0
    """Of −log σ_p."""
    variance: float = 1.0
    """Of σ_p² / 2σ_q²."""
    means: float = 3.0
    """Of (μ_p − μ_q)² / 2σ_q²."""


def divergence(q: Gaussian, p: Gaussian) -> Float[Tensor, "n z d h w"]:
    """D_KL(q‖p) of every number, in nats: Eq 8."""
    ratio = (q.deviation.square() + (p.mean - q.mean).square()) / (2 * p.deviation.square())
    return p.deviation.log() - q.deviation.log() + ratio - 0.5


def weighted_divergence(
    q: Gaussian, p: Gaussian, weights: LatentWeights
) -> Float[Tensor, "n z d h w"]:
    """Eq 13 of every number as it is printed: p stands where Eq 8 has q."""
    logs = weights.log_posterior * q.deviation.log() - weights.log_prior * p.deviation.log()
    squares = weights.variance * p.deviation.square()
    squares = squares + weights.means * (p.mean - q.mean).square()
    return logs + squares / (2 * q.deviation.square()) - 0.5


def regularised_divergence(q: Gaussian, p: Gaussian) -> Float[Tensor, "n z d h w"]:
    """D_KL(q‖p) − log N(μ_p; μ_q, σ_q) of every number, in nats, without the constant ½ log 2π.

    Eq 11 prints the likelihood without the ½ of its square.
    """
    scaled = (p.mean - q.mean) / q.deviation
    return divergence(q, p) + q.deviation.log() + scaled.square() / 2


def latent_loss(
    q: Gaussian, p: Gaussian, kind: LatentLoss, weights: LatentWeights
) -> Float[Tensor, ""]:
    """What is minimised of the latent maps, a mean over all of their numbers.

    Args:
        q: Posterior.
        p: Prior.
        kind: `paper` is Eq 13 as it is printed, `kl` is D_KL(q‖p), `kl+ll` adds the negative
            log-likelihood of the prior's mean.
        weights: Of Eq 13's terms, for `paper` alone.
    """
    if kind == "paper":
        return weighted_divergence(q, p, weights).mean()
    terms = divergence(q, p) if kind == "kl" else regularised_divergence(q, p)
    return terms.mean()


def joined(parts: list[Gaussian]) -> Gaussian:
    """The rows of several distributions as one."""
    means, deviations = [part.mean for part in parts], [part.deviation for part in parts]
    return Gaussian(torch.cat(means), torch.cat(deviations))
