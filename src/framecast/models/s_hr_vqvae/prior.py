"""ST-PixelCNN: the prior over the codewords of a hierarchical residual quantiser.

One network per layer, causal in raster order inside a frame and over all earlier frames. Layer i is
also given the sum of the codewords of the layers before it, of frames up to and including its own,
because a local index means nothing without its parent.

Reference:
    Adiban et al., S-HR-VQVAE: Sequential Hierarchical Residual Learning Vector Quantized
    Variational Autoencoder for Video Prediction, section 4.2.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from framecast.config import Config
from framecast.errors import ConfigError
from framecast.layers.autoregressive import (
    Named,
    Rule,
    Sampler,
    default_sampler,
    draw,
)
from framecast.layers.typed import Layers
from framecast.models.s_hr_vqvae.prior_cache import LayerCache, LayerReplay
from framecast.models.s_hr_vqvae.prior_net import LayerNet
from framecast.noise import Noise

Lookup = Callable[[Int64[Tensor, "*b k h w"]], Float[Tensor, "*b k d h w"]]
"""Codewords of the first k layers' local indices; a layer's depend on those of the layers above."""


@dataclass(frozen=True)
class PriorConfig(Config):
    """Sizes of an ST-PixelCNN."""

    hidden: int = 40
    """Channels inside each layer's network."""
    convolutions: int = 5
    """Masked 3×3×3 convolutions of each network; the first does not see its own position."""
    heads: int = 4
    """Heads of the attention over all earlier positions."""
    cross_layer: bool = True
    """Whether a layer is given the codewords of the layers before it; the paper's Eq 6 is not."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.hidden, self.convolutions, self.heads) < 1:
            raise ConfigError("hidden, convolutions and heads are at least 1")
        if self.hidden % self.heads:
            raise ConfigError(f"hidden {self.hidden} is not a multiple of heads {self.heads}")


@dataclass(frozen=True)
class Drawn:
    """The indices of one frame."""

    indices: Int64[Tensor, "r n h w"]  # rows are (s b)
    log_prob: Float[Tensor, " r"]  # nats of all layers together, by the untempered prior
    passes: int  # evaluations of a network that had to wait for one another, over all layers


class STPixelCNN(nn.Module):
    """Autoregressive prior over the codewords of all layers."""

    def __init__(self, config: PriorConfig, layers: int, codewords: int, width: int) -> None:
        """Make one network per layer.

        Args:
            config: Sizes of each network.
            layers: Layers of the quantiser.
            codewords: Codewords in one codebook, M.
            width: Channels of a codeword, D.
        """
        super().__init__()
        self.codewords = codewords
        self.nets = Layers[LayerNet](
            LayerNet(
                config.hidden,
                config.convolutions,
                config.heads,
                codewords,
                width,
                given=config.cross_layer and i > 0,
            )
            for i in range(layers)
        )

    def forward(
        self, codewords: Float[Tensor, "b t n d h w"], first: int = 0, *, attend: bool = True
    ) -> Float[Tensor, "b u n m h w"]:
        """Logits of every position's index, teacher-forced.

        A logit of layer i at a position depends on codewords of layer i strictly before it in
        raster-time order, and on those of layers < i in frames up to and including its own.

        Args:
            codewords: The codewords e^i of every layer.
            first: The first frame whose logits are asked for; `u = t - first` are given.
            attend: False leaves the attention out, as if it were silent.
        """
        pairs = zip(self.nets, volumes(codewords), strict=True)
        return torch.stack([net(own, given, first, attend) for net, (own, given) in pairs], 2)

    def silence(self) -> None:
        """Let the attention add nothing until it is trained."""
        for net in self.nets:
            for parameter in net.attention.output.parameters():
                nn.init.zeros_(parameter)

    def generate(
        self,
        context: Float[Tensor, "b t n d h w"],
        horizon: int,
        lookup: Lookup,
        noise: Noise,
        *,
        samples: int | None,
        temperature: float = 1.0,
        top_k: int | None = None,
        sampler: Sampler = "auto",
    ) -> Iterator[Drawn]:
        """Draw the indices of frame after frame: of layer 1, then of layer 2 given those, ….

        Memory grows with the horizon by keys and values alone, except with `naive`.

        Args:
            context: Codewords of the observed frames.
            horizon: How many frames.
            lookup: Codewords of the local indices of the first k layers, at any leading axes.
            noise: A stream per row; one Gumbel draw per frame, for all layers.
            samples: Futures per sequence, as many as `noise` has; None for the likeliest indices,
                one row per sequence.
            temperature: Divides the logits of samples.
            top_k: Samples are drawn among the k likeliest values of an index; None for all.
            sampler: Which sampler; all of them draw the same.
        """
        rule = Rule(temperature, top_k)
        rows = samples or 1
        chosen = (
            default_sampler(context.device, rows * len(context)) if sampler == "auto" else sampler
        )
        kind = LayerReplay if chosen == "naive" else LayerCache
        with torch.no_grad(), torch.autocast(context.device.type, enabled=False):
            pairs = zip(self.nets, volumes(context), strict=True)
            layers = [kind(net, own, given, rows) for net, (own, given) in pairs]
        last = context[:, -1].repeat(rows, 1, 1, 1, 1)
        shape = (len(self.nets), *context.shape[-2:], self.codewords)
        for _ in range(horizon):
            drawn = None
            if samples is not None:
                drawn = noise.gumbel(*shape).flatten(0, 1).flatten(2, 3).to(last)
            with torch.no_grad(), torch.autocast(context.device.type, enabled=False):
                frame, last = _frame(layers, last, lookup, drawn, rule, chosen)
            yield frame


def volumes(codewords: Float[Tensor, "b t n d h w"]) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each layer: its codewords, and the sum of those of the layers before, `b d t h w`."""
    given = torch.zeros_like(codewords[:, :, 0])
    for own in codewords.unbind(2):
        yield _channels_last(own), _channels_last(given)
        given = given + own


def _channels_last(frames: Float[Tensor, "b t d h w"]) -> Float[Tensor, "b d t h w"]:
    """The memory format that convolutions are fastest in."""
    return frames.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)


def _frame(
    layers: Sequence[LayerCache | LayerReplay],
    last: Float[Tensor, "r n d h w"],
    lookup: Lookup,
    noise: Float[Tensor, "r n p m"] | None,
    rule: Rule,
    sampler: Named,
) -> tuple[Drawn, Float[Tensor, "r n d h w"]]:
    """The frame after `last`, and its codewords."""
    size = last.shape[-2:]
    indices = last.new_zeros((len(last), 0, *size), dtype=torch.int64)
    given = torch.zeros_like(last[:, 0])
    draws, codewords = [], []
    for i, layer in enumerate(layers):
        candidates = _candidates(lookup, indices, layer.net.output.out_features)
        layer.begin(given, candidates)
        own = None if noise is None else noise[:, i]
        drawn = draw(sampler, layer, _nearest(candidates, last[:, i]), own, rule)
        codewords.append(layer.finish(drawn.tokens))
        draws.append(drawn)
        given = given + codewords[-1]
        indices = torch.cat([indices, drawn.tokens.view(-1, 1, *size)], 1)
    log_prob = torch.stack([drawn.log_prob for drawn in draws]).sum(0)
    passes = sum(drawn.passes for drawn in draws)
    return Drawn(indices, log_prob, passes), torch.stack(codewords, 1)


def _candidates(
    lookup: Lookup, indices: Int64[Tensor, "r k h w"], values: int
) -> Float[Tensor, "r p m d"]:
    """The codewords that the next layer's index can stand for, below the indices so far."""
    rows, above, *size = indices.shape
    choices = torch.arange(values, device=indices.device).view(-1, 1, 1, 1)
    paths = [
        indices.unsqueeze(1).expand(-1, values, -1, -1, -1),
        choices.expand(rows, values, 1, *size),
    ]
    return lookup(torch.cat(paths, 2))[:, :, above].flatten(3).permute(0, 3, 1, 2).contiguous()


def _nearest(
    candidates: Float[Tensor, "r p m d"], codewords: Float[Tensor, "r d h w"]
) -> Int64[Tensor, "r p"]:
    """The candidate that is nearest to what stood at the same place a frame earlier."""
    there = codewords.flatten(2).transpose(1, 2).unsqueeze(2)
    return (candidates - there).square().sum(-1).argmin(-1)
