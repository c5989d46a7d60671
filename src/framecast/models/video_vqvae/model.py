"""Video VQ-VAE: clips as tokens of two grids in space and time, top and bottom.

Reference: Walker, Razavi, van den Oord, Predicting Video with VQVAE (2021).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from framecast import pictures
from framecast.clip import Clip
from framecast.codec import FRAMES_SHOWN, Codec
from framecast.errors import ConfigError, FramecastError
from framecast.layers.autoregressive import DrawOptions
from framecast.model import FrameSpec, ModelConfig, Options, Step
from framecast.models.video_vqvae.autoencoder import FRAMES, Autoencoder, AutoencoderConfig
from framecast.models.video_vqvae.bottom import BottomConfig, BottomPrior
from framecast.models.video_vqvae.cache import Drawing, DrawnSlice
from framecast.models.video_vqvae.top import TopConfig, TopPrior
from framecast.noise import Noise
from framecast.pictures import Panel
from framecast.tokens import Grid


@dataclass(frozen=True)
class VideoVQVAEConfig(ModelConfig):
    """Sizes of a Video VQ-VAE; the defaults are the paper's (Table 3)."""

    type: ClassVar[str] = "video-vqvae"
    channels: int = 3
    """Channels of a frame."""
    codewords: int = 512
    """Codewords of each level's codebook."""
    width: int = 64
    """Numbers in a codeword."""
    context: int = 4
    """Frames that a prediction is made from; a multiple of 4. They are coded alone."""
    future: int = 12
    """Frames that are predicted together; a multiple of 4. Longer horizons go on from them."""
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """Sizes of encoders and decoder."""
    top: TopConfig = field(default_factory=TopConfig)
    """Sizes of the prior of top tokens."""
    bottom: BottomConfig = field(default_factory=BottomConfig)
    """Sizes of the prior of bottom tokens."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.channels, self.width) < 1 or self.codewords < 2:
            raise ConfigError("channels and width are at least 1, codewords at least 2")
        for name in ("context", "future"):
            frames = getattr(self, name)
            if frames < FRAMES or frames % FRAMES:
                raise ConfigError(f"{name} is a multiple of {FRAMES} frames, got {frames}")

    @property
    def slices(self) -> tuple[int, int]:
        """Top slices of the context and of the future; of bottom slices there are twice as many."""
        return self.context // FRAMES, self.future // FRAMES


@dataclass(frozen=True)
class Future:
    """One predicted block of frames; rows are (s b)."""

    frames: Float[Tensor, "r t c h w"]  # unclipped
    log_prob: Float[Tensor, "r t"]  # nats; those of a slice in equal parts on its frames


class VideoVQVAE(Codec):
    """Clips as tokens of two levels: a top grid of what is coarse, a bottom grid of details.

    A prior draws the top tokens of future frames from those of the context, coded alone; another
    one the bottom tokens from these and the top ones.
    """

    config_type = VideoVQVAEConfig
    options_type = DrawOptions
    block = FRAMES

    def __init__(self, config: VideoVQVAEConfig) -> None:
        """Make the autoencoder and both priors."""
        super().__init__(config)
        self.autoencoder = Autoencoder(
            config.autoencoder, config.channels, config.codewords, config.width
        )
        self.top = TopPrior(config.top, self.values, *config.slices)
        self.bottom = BottomPrior(config.bottom, self.values)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to whole positions of the top grid,
        and the last frames of a context are kept."""
        return FrameSpec(
            channels=self.config.channels,
            multiple_of=self.config.autoencoder.pixels,
            context_min=self.config.context,
            context_max=self.config.context,
        )

    # compressing video (§3.1)

    @property
    def together(self) -> int:
        """The frames of a clip in training: encoders and decoder have learnt its ends."""
        return self.config.context + self.config.future

    @property
    def values(self) -> tuple[int, int]:
        """The codewords of top and bottom."""
        return self.config.codewords, self.config.codewords

    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        """Top and bottom, the top one half as large in space and time."""
        stride, pixels = self.config.autoencoder.stride, self.config.autoencoder.pixels
        top = (length // FRAMES, height // pixels, width // pixels)
        return top, (2 * length // FRAMES, height // stride, width // stride)

    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The tokens of top and bottom; all frames are coded together.

        Raises:
            FramecastError: if there are not a multiple of 4 frames.
        """
        top, bottom = self.autoencoder(frames)
        return top.tokens, bottom.tokens

    def tokenize_context(
        self, frames: Float[Tensor, "b t c h w"]
    ) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """The tokens of the first `context` frames, coded alone: no later frame plays a part.

        In the tokens of longer clips it does, as encoders look ahead.
        """
        return self.tokenize(frames[:, : self.config.context])

    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        """Frames from the tokens of top and bottom, or of top alone: then the bottom is zeros."""
        top, *rest = levels
        bottom = self.autoencoder.bottom.lookup(rest[0]) if rest else None
        return self.autoencoder.decode(self.autoencoder.top.lookup(top), bottom)

    def inspect(self, clip: Clip) -> list[Panel]:
        """As every codec, with what both levels together miss (Fig 2).

        Raises:
            FramecastError: if the frames are not what the model expects, or not a multiple of 4.
        """
        panels = super().inspect(clip)
        shown = pictures.spread(clip.length, FRAMES_SHOWN)
        decoded = self.decode(self.encode(clip)).frames
        missed = (decoded - clip.frames)[0, shown].abs().mean(1, keepdim=True)
        most = float(missed.max())
        image = pictures.row(missed / (most or 1.0))
        title = f"what both levels miss, mean over channels; white is {most:.3g}"
        first = 1 + len(self.values)
        return [*panels[:first], Panel(title, image, (0, 1)), *panels[first:]]

    # predicting video (§3.2)

    def tokenize_block(
        self, frames: Float[Tensor, "b t c h w"]
    ) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """What the priors are about: tokens of the context, coded alone, then of the future.

        The future's are those that it has in the whole clip, so that they may depend on the
        context's frames. No frame after the context changes a token of the context.

        Args:
            frames: `context` and `future` frames, as `expects` says.

        Raises:
            FramecastError: if there is another number of frames.
        """
        context, future = self.config.context, self.config.future
        if frames.shape[1] != context + future:
            raise FramecastError(
                f"this video-vqvae has priors of {context} context and {future} future frames, "
                f"got {frames.shape[1]} in all; give {context + future}"
            )
        pairs = zip(self.tokenize_context(frames), self.tokenize(frames), strict=True)
        return tuple(torch.cat([alone, whole[:, alone.shape[1] :]], 1) for alone, whole in pairs)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Draw and decode block after block of frames, each from the last ones before it.

        A step's `log_prob` has equal parts of those of the slices that its frame belongs to.
        """
        assert isinstance(options, DrawOptions)
        drawing = Drawing(None if samples is None else noise, options.rule, options.sampler)
        rows, repeats, frames = samples or 1, samples or 1, context.frames
        for first in range(0, horizon, self.config.future):
            block = self.draw(frames, repeats, drawing)
            for number in range(min(self.config.future, horizon - first)):
                step = block.frames[:, number], block.log_prob[:, number]
                yield Step(*(part.unflatten(0, (rows, -1)) for part in step))
            seen = torch.cat([frames.repeat(repeats, 1, 1, 1, 1), block.frames.clamp(0, 1)], 1)
            frames, repeats = seen[:, -self.config.context :], 1

    def draw(self, frames: Float[Tensor, "b t c h w"], samples: int, drawing: Drawing) -> Future:
        """One block: top slices, then bottom slices, decoded together with the context's.

        Args:
            frames: The context.
            samples: Futures of each sequence; rows are (s b).
            drawing: How tokens are drawn.
        """
        top, bottom = self.tokenize_context(frames)
        tops = list(self.top.generate(top, bottom, samples, drawing))
        top, bottom = (level.repeat(samples, 1, 1, 1) for level in (top, bottom))
        top = torch.cat([top, *(one.tokens.unsqueeze(1) for one in tops)], 1)
        bottoms = list(self.bottom.generate(top, bottom, drawing))
        bottom = torch.cat([bottom, *(one.tokens.unsqueeze(1) for one in bottoms)], 1)
        decoded = self.render((top, bottom))[:, self.config.context :]
        return Future(decoded, shared(tops, FRAMES) + shared(bottoms, FRAMES // 2))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The likeliest next frame after each true one: a prediction of one frame from every
        beginning of the clip, the first frame repeated before it where it is too short."""
        missing = self.config.context - 1
        before = clip.frames[:, :1].expand(-1, missing, -1, -1, -1)
        frames = torch.cat([before, clip.frames], 1)
        ends = range(1, clip.length)
        predicted = [self.predict(frames[:, : missing + end], 1).unclipped[0] for end in ends]
        return torch.cat(predicted, 1)

    def code_log_probs(self, context: Clip, future: Clip) -> tuple[Float[Tensor, "b _"], ...]:
        """Log-likelihood of each of a future's top and bottom codes, in nats.

        The future has as many frames as are predicted together; of the context the last frames
        count.

        Raises:
            FramecastError: if there are too few frames of context, or not `future` of the future.
        """
        together = self.config.future
        if future.length != together:
            raise FramecastError(
                f"this video-vqvae predicts {together} frames together and finds those likely or "
                f"not, got {future.length}; give {together}"
            )
        last = context.pick(slice(-self.config.context, None))
        top, bottom = self.tokenize_block(self._together(last, future))
        first = 2 * self.config.slices[0]
        slices = [
            self.bottom_log_probs(top, bottom, number) for number in range(first, bottom.shape[1])
        ]
        return self.top_log_probs(top, bottom).flatten(1), torch.stack(slices, 1).flatten(1)

    def top_log_probs(
        self,
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b t2 h2 w2"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b u h w"]:
        """Log-probability of each of the future's top tokens, given all before it, in nats.

        Args:
            top: Of the context, coded alone, and of the future.
            bottom: In the same way; the future's play no part.
            recomputed: As in `TopPrior.forward`.
        """
        slices = self.config.slices[0]
        context = top[:, :slices], bottom[:, : 2 * slices]
        logits = self.top(top[:, slices:], *context, recomputed=recomputed)
        return log_probs(logits, top[:, slices:])

    def bottom_log_probs(
        self,
        top: Int64[Tensor, "b t h w"],
        bottom: Int64[Tensor, "b t2 h2 w2"],
        number: int,
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b h2 w2"]:
        """Log-probability of each token of a bottom slice, given all before it, in nats.

        The arguments are those of `BottomPrior.forward`.
        """
        logits = self.bottom(top, bottom, number, recomputed=recomputed)
        return log_probs(logits, bottom[:, number])


def log_probs(logits: Float[Tensor, "*n m"], tokens: Int64[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Log-probability of each token by its own logits, in nats."""
    return logits.float().log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)


def shared(slices: Sequence[DrawnSlice], frames: int) -> Float[Tensor, "r t"]:
    """Nats of slices, in equal parts on as many frames as each has."""
    return torch.stack([one.log_prob / frames for one in slices], 1).repeat_interleave(frames, 1)
