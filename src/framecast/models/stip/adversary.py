"""What STIP's frames are judged by: a discriminator, and the distance in its last feature map.

Reference:
    Chang et al., STIP (2022), Section III-B, Table II.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.config import Config
from framecast.errors import ConfigError, FramecastError
from framecast.model import pad_to_multiple
from framecast.models.stip.network import SLOPE

Reduction = Literal["time-mean", "per-frame"]
"""`time-mean`: the cross-entropy of the probability averaged over a clip's frames, as in the
authors' program; `per-frame`: the mean of the frames' own, as in Eq 10."""


@dataclass(frozen=True)
class DiscriminatorConfig(Config):
    """Sizes of a discriminator."""

    size: tuple[int, int] | None = None
    """(height, width) of the frames in pixels, if the last layer weighs every place of the last map
    by itself, as published; None for frames of any size, where it weighs the mean of the places.
    At 512² with patches of 2 and at 1024² with patches of 4 the last map is one place."""
    layers: int = 8
    """Convolutions, each of which halves height and width."""
    hidden: int = 64
    """Channels of each."""
    groups: int = 4
    """Groups of its normalisation."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(*(self.size or ()), self.layers, self.hidden, self.groups) < 1:
            raise ConfigError("size, layers, hidden and groups are at least 1")
        if self.hidden % self.groups:
            raise ConfigError(f"{self.hidden} channels cannot be cut into {self.groups} groups")


class Verdict(NamedTuple):
    """What a discriminator says of each frame."""

    logits: Float[Tensor, "b t"]  # of the frame being a true one
    features: Float[Tensor, "b t n"]  # the last feature map, flattened


class Discriminator(nn.Module):
    """Tells true frames, cut into patches, from predicted ones, each by itself."""

    def __init__(self, config: DiscriminatorConfig, channels: int, patch: int) -> None:
        """Make the layers.

        Args:
            config: Sizes.
            channels: Channels of a frame.
            patch: Size of the patches that frames are cut into.
        """
        super().__init__()
        self.patch, self.size = patch, config.size
        widths = [channels * patch**2, *[config.hidden] * config.layers]
        self.down = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inputs, config.hidden, 3, stride=2, padding=1),
                    nn.GroupNorm(config.groups, config.hidden),
                    nn.LeakyReLU(SLOPE),
                )
                for inputs in widths[:-1]
            )
        )
        places = 1
        for length in config.size or ():
            places *= -(-length // (patch * 2**config.layers))
        self.judge = nn.Linear(config.hidden * places, 1)

    def forward(self, frames: Float[Tensor, "b t c h w"]) -> Verdict:
        """Judge frames.

        Raises:
            FramecastError: if they are not of the configured size.
        """
        size = tuple(frames.shape[-2:])
        if self.size not in (None, size):
            raise FramecastError(
                f"the discriminator is for frames of {self.size[0]}x{self.size[1]} and was given "
                f"{size[0]}x{size[1]}; set its size to that, or to none for any"
            )
        padded = pad_to_multiple(frames.flatten(0, 1), self.patch)
        maps = self.down(functional.pixel_unshuffle(padded, self.patch))
        features = maps.flatten(1)
        logits = self.judge(features if self.size else maps.mean((2, 3))).squeeze(1)
        return Verdict(*(each.unflatten(0, frames.shape[:2]) for each in (logits, features)))


def adversarial_loss(
    logits: Float[Tensor, "b t"], true: bool, reduction: Reduction
) -> Float[Tensor, ""]:
    """Cross-entropy, in nats, of a discriminator's verdicts with what it should say (Eq 10).

    Args:
        logits: Of each frame being a true one.
        true: Whether it should say so.
        reduction: Over the frames of a clip; clips are averaged.
    """
    logits = logits.float() if true else -logits.float()
    if reduction == "per-frame":
        return -functional.logsigmoid(logits).mean()
    # the logarithm of a mean of probabilities, without leaving logarithms
    return -(functional.logsigmoid(logits).logsumexp(1) - math.log(logits.shape[1])).mean()


def learned_perceptual_loss(
    predicted: Float[Tensor, "b t n"], true: Float[Tensor, "b t n"]
) -> Float[Tensor, ""]:
    """Mean squared distance of feature maps (Eq 8)."""
    return functional.mse_loss(predicted.float(), true.float())
