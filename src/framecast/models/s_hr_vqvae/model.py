"""S-HR-VQVAE: frames as paths through a tree of codewords, predicted position by position.

Reference:
    Adiban, Stefanov, Siniscalchi, Salvi, S-HR-VQVAE: Sequential Hierarchical Residual Learning
    Vector Quantized Variational Autoencoder for Video Prediction (2023).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor, nn

from framecast.clip import Clip
from framecast.codec import Codec, Grid
from framecast.errors import ConfigError
from framecast.layers.autoregressive import DrawOptions
from framecast.layers.quantise import Quantised, ResidualTree
from framecast.model import FrameSpec, ModelConfig, Options, Step, evaluating
from framecast.models.s_hr_vqvae.autoencoder import STRIDE, AutoencoderConfig, Decoder, Encoder
from framecast.models.s_hr_vqvae.prior import Drawn, PriorConfig, STPixelCNN
from framecast.noise import Noise
from framecast.pictures import Panel, bars
from framecast.tokens import Usage


@dataclass(frozen=True)
class SHRVQVAEConfig(ModelConfig):
    """Sizes of an S-HR-VQVAE; the defaults are the paper's for Moving-MNIST (Table 1)."""

    type: ClassVar[str] = "s-hr-vqvae"
    channels: int = 1
    """Channels of a frame."""
    width: int = 4
    """Numbers in a latent vector, D."""
    layers: int = 3
    """Layers of the hierarchy, n; one layer is a plain VQ-VAE."""
    codewords: int = 4
    """Codewords of one codebook, M; layer i has M^(i-1) codebooks."""
    pixels: bool = False
    """Quantise and predict the pixels themselves, without encoder and decoder: the ST-PixelCNN
    alone, which the paper compares with (§7.3). A pixel has as many numbers as channels."""
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """Sizes of encoder and decoder, where there are any."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    """Sizes of the ST-PixelCNN."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.channels, self.width, self.layers) < 1 or self.codewords < 2:
            raise ConfigError("channels, width and layers are at least 1, codewords at least 2")
        if self.pixels and self.width != self.channels:
            raise ConfigError(
                f"pixels of {self.channels} channels are {self.channels} wide, not {self.width}; "
                "set width to the channels"
            )

    @property
    def stride(self) -> int:
        """Pixels of a frame per position of the grid, in each direction."""
        return 1 if self.pixels else STRIDE


class SHRVQVAE(Codec):
    """Frame autoencoder with a residual tree of codewords, and a causal prior of its codes."""

    config_type = SHRVQVAEConfig
    options_type = DrawOptions

    def __init__(self, config: SHRVQVAEConfig) -> None:
        """Make encoder, quantiser, decoder and prior."""
        super().__init__(config)
        sizes = (config.autoencoder, config.channels, config.width)
        self.encoder = nn.Identity() if config.pixels else Encoder(*sizes)
        self.quantiser = ResidualTree(config.layers, config.codewords, config.width)
        self.decoder = nn.Identity() if config.pixels else Decoder(*sizes)
        self.prior = STPixelCNN(config.prior, config.layers, config.codewords, config.width)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to multiples of the stride."""
        return FrameSpec(channels=self.config.channels, multiple_of=self.config.stride)

    # Step 1: frame encoding (§4.1)

    @property
    def values(self) -> tuple[int, ...]:
        """M values in every layer."""
        return (self.config.codewords,) * self.config.layers

    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        """A quarter of the frame's size in every layer, or all of it with pixels."""
        stride = self.config.stride
        return ((length, height // stride, width // stride),) * self.config.layers

    def quantise(
        self, frames: Float[Tensor, "n c h w"]
    ) -> tuple[Quantised, Float[Tensor, "n d h2 w2"]]:
        """Paths of frames' latent vectors, positions in raster order, frame after frame.

        Returns:
            What the quantiser gives, and the latent grid z (`n d h/4 w/4`).
        """
        latent = self.encoder(frames)
        return self.quantiser(rearrange(latent, "n d h w -> (n h w) d")), latent

    def indices(self, frames: Float[Tensor, "b t c h w"]) -> Int64[Tensor, "b t n h4 w4"]:
        """Q: the local indices of each frame's codewords, layer by layer."""
        quantised, latent = self.quantise(frames.flatten(0, 1))
        batch, (height, width) = len(frames), latent.shape[-2:]
        return rearrange(quantised.indices, "(b t h w) n -> b t n h w", b=batch, h=height, w=width)

    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The indices, a level per layer."""
        return self.indices(frames).unbind(2)

    # Step 3: frame generation (§4.3)

    def codewords(self, indices: Int64[Tensor, "*b k h w"]) -> Float[Tensor, "*b k d h w"]:
        """e^1 … e^k: the codewords of the first k layers' local indices."""
        return self.quantiser.lookup(indices.movedim(-3, -1)).movedim((-2, -1), (-4, -3))

    def frames_of(self, codewords: Float[Tensor, "*b k d h w"]) -> Float[Tensor, "*b c h2 w2"]:
        """D(e_C), Eq 8: the frames of codewords that are summed over layers; unclipped."""
        combined = codewords.sum(-4)
        frames = self.decoder(combined.flatten(0, -4))
        return frames.unflatten(0, combined.shape[:-3])

    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        """The frames of the first layers' codes; the residuals of the others are left out."""
        return self.frames_of(self.codewords(torch.stack(list(levels), 2)))

    # Step 2: prediction in the latent space (§4.2)

    def symbols(self, indices: Int64[Tensor, "*b k h w"]) -> Float[Tensor, "*b k d h w"]:
        """What the prior reads: the codewords, each layer's brought to a root mean square of 1.

        Residuals shrink from layer to layer, and a network learns slowly from small numbers.
        """
        norms = [codebook.detach().square().mean() for codebook in self.quantiser.codebooks]
        scale = torch.stack(norms)[: indices.shape[-3]].clamp_min(1e-12).rsqrt()
        return self.codewords(indices).detach() * scale[:, None, None, None]

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Draw the codes of frame after frame, and decode them."""
        assert isinstance(options, DrawOptions)
        rows = samples or 1
        symbols = self.symbols(self.indices(context.frames))
        for drawn in self.draw(symbols, horizon, samples, noise, options):
            frames = self.frames_of(self.codewords(drawn.indices))
            yield Step(frames.unflatten(0, (rows, -1)), drawn.log_prob.unflatten(0, (rows, -1)))

    def draw(
        self,
        context: Float[Tensor, "b t n d h w"],
        horizon: int,
        samples: int | None,
        noise: Noise,
        options: DrawOptions,
    ) -> Iterator[Drawn]:
        """The codes of frame after frame, from the symbols of the context; rows are `(s b)`."""
        return self.prior.generate(
            context,
            horizon,
            self.symbols,
            noise,
            samples=samples,
            temperature=options.temperature,
            top_k=options.top_k,
            sampler=options.sampler,
        )

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The likeliest next frame after each true one; a frame's codes depend on one another, so
        this is a prediction of one frame from every beginning of the clip."""
        ends = range(1, clip.length)
        predicted = [self.predict(clip.pick(slice(None, end)), 1).unclipped[0] for end in ends]
        return torch.cat(predicted, 1)

    def code_log_probs(self, context: Clip, future: Clip) -> tuple[Float[Tensor, "b _"], ...]:
        """Log-likelihood of each code of a future, layer by layer, in nats."""
        indices = self.indices(self._together(context, future))
        codes = self.code_log_prob(indices, context.length)
        return tuple(layer.flatten(1) for layer in codes.unbind(2))

    def code_log_prob(
        self, indices: Int64[Tensor, "b t n h w"], first: int
    ) -> Float[Tensor, "b u n h w"]:
        """Log-probability of each code of frames `first`, …, given all before it, in nats."""
        return log_probs(self.prior(self.symbols(indices), first), indices[:, first:])

    # what the model makes of a clip (Figs 4 and 5)

    def inspect(self, clip: Clip) -> list[Panel]:
        """The codec's panels; where each layer acts; what the prior expects and is unsure of.

        The last histogram counts whole paths. Heat maps are of the last frame: the change that each
        layer's residual makes to it (Fig 4), and the information of its codes given all before
        them. The entropy is of the codes of the frame that comes next, given those of it that the
        point prediction has set.
        """
        panels = super().inspect(clip)
        with torch.no_grad(), evaluating(self):
            indices = self.indices(self.adapted(clip.frames))
            maps = self._changes(indices[:, -1:], clip.frames.shape[-2:])
            if clip.length > 1:
                surprise = -self.code_log_prob(indices, clip.length - 1)[0, 0].sum(0)
                maps["information of the last frame's codes, bits"] = surprise / math.log(2)
            title = "entropy of the next frame's codes, bits"
            maps[title] = self._next_entropy(indices) / math.log(2)
        leaves = self.quantiser.leaves(indices.movedim(2, -1))
        usage = Usage.of(leaves, self.quantiser.sizes[-1])
        title = f"paths: {usage.used} of {self.quantiser.sizes[-1]} used"
        title += f", perplexity {usage.perplexity:.3g}"
        panels.append(Panel(title, bars(usage.counts.numpy()), (0, 1)))
        return panels + [_heat(title, values) for title, values in maps.items()]

    def _changes(
        self, indices: Int64[Tensor, "1 1 n h w"], size: Sequence[int]
    ) -> dict[str, Float[Tensor, "h2 w2"]]:
        """By how much each layer changes the frame's pixels."""
        codewords = self.codewords(indices)
        stages = [self.frames_of(codewords[:, :, :1] * 0)]
        stages += [self.frames_of(codewords[:, :, :k]) for k in range(1, self.config.layers + 1)]
        frames = [frame[0, 0, :, : size[0], : size[1]] for frame in stages]
        return {
            f"change by layer {layer}": (after - before).abs().mean(0)
            for layer, (before, after) in enumerate(pairwise(frames), 1)
        }

    def _next_entropy(self, indices: Int64[Tensor, "1 t n h w"]) -> Float[Tensor, "h w"]:
        """Entropy in nats at each place, all layers together."""
        noise, options = Noise.of(0, [0], 1), DrawOptions()
        drawn = next(self.draw(self.symbols(indices), 1, None, noise, options))
        whole = torch.cat([indices, drawn.indices.unsqueeze(1)], 1)
        logs = self.prior(self.symbols(whole), indices.shape[1]).float().log_softmax(3)
        return -(logs.exp() * logs).sum(3)[0, 0].sum(0)


def log_probs(
    logits: Float[Tensor, "b u n m h w"], indices: Int64[Tensor, "b u n h w"]
) -> Float[Tensor, "b u n h w"]:
    """Log-probability of each index by its own logits, in nats."""
    return logits.float().log_softmax(3).gather(3, indices.unsqueeze(3)).squeeze(3)


def _heat(title: str, values: Float[Tensor, "h w"]) -> Panel:
    """A heat map from 0 to the largest value."""
    return Panel(title, values[None], (0, max(float(values.max()), 1e-6)))
