"""How a Video VQ-VAE is trained: the autoencoder (§2.1, §3.1), then its two priors (§3.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip, Source
from framecast.data.coded import CodedClips
from framecast.errors import ConfigError
from framecast.layers.quantise import vector_loss
from framecast.layers.upkeep import Upkeep
from framecast.model import ModelConfig, digest_of, evaluating
from framecast.models.video_vqvae.autoencoder import Volume
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig
from framecast.tokens import Codes

ADAM = OptimizerConfig(learning_rate=3e-4)
"""The paper names no optimizer."""


@dataclass(frozen=True)
class AutoencoderTraining(StageConfig):
    """How encoders, codebooks and decoder are trained (Eqs 2 and 3)."""

    type: ClassVar[str] = "video-vqvae/autoencoder"
    optimizer: OptimizerConfig = ADAM
    """Optimizer of encoders and decoder; codebooks are moving averages."""
    beta: float = 0.25
    """How strongly latent vectors are held to their codewords, β."""
    mask: float = 0.25
    """Probability that the decoder gets zeros for a clip's bottom level, so that it learns to use
    the top one; in [0, 1)."""
    decay: float = 0.99
    """γ, of the moving averages: of codewords, and of how often each is chosen."""
    restart_every: int = 100
    """Steps between replacements of codewords that are hardly chosen; 0 for never."""
    restart_below: float = 0.03
    """A codeword is replaced if it takes less than this part of an equal share."""
    sample_every: int = 0
    """Steps between pictures of predictions; the priors cannot predict yet."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.beta < 0 or not 0 <= self.mask < 1:
            raise ConfigError("beta is 0 or more and mask from 0 to below 1")


class AutoencoderStage(Stage, of=VideoVQVAE, name="autoencoder"):
    """Encoders, codebooks and decoder learn to reconstruct clips."""

    config_type = AutoencoderTraining

    def __init__(self, config: AutoencoderTraining, model: VideoVQVAE, context: int) -> None:
        """Begin the averages of both codebooks."""
        super().__init__(config, model, context)
        terms = (config.decay, config.restart_every, config.restart_below)
        self.top = Upkeep(model.autoencoder.top.codebook, *terms)
        self.bottom = Upkeep(model.autoencoder.bottom.codebook, *terms)

    def frozen(self) -> list[nn.Module]:
        """The codebooks, which are averages, and all that is not of the autoencoder."""
        network = self.model.autoencoder
        return [*self.idle(), network.top.codebook, network.bottom.codebook]

    def idle(self) -> list[nn.Module]:
        """Both priors."""
        return [self.model.top, self.model.bottom]

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """Eq 2 without its second term, as means over all elements: pixels, numbers of a latent
        vector; the commitments of both levels are added up."""
        del phase, step
        frames = self.model.adapted(batch.frames)
        top, bottom = self.model.autoencoder(frames)
        details = bottom.straight_through
        if self.training:
            details = details * self._kept(len(frames)).to(details)
            self.top.see(top.quantised)
            self.bottom.see(bottom.quantised)
        decoded = self.model.autoencoder.decode(top.straight_through, details)
        error = functional.mse_loss(decoded.float(), frames)
        codes = self._commitment(top) + self._commitment(bottom)
        return {"total": error + codes, "mse": error, "codes": codes, **self._used()}

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Eq 3; codebooks from data after the first step, and replacements of dead codewords."""
        network = self.model.autoencoder
        self.top.after_step(network.top.codebook, step, reducer)
        self.bottom.after_step(network.bottom.codebook, step, reducer)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of reconstructions, summed over a frame's pixels, clipped to [0, 1].

        `mse top` is that of the top level alone.
        """
        codes = self.model.encode(batch)
        top, both = (self._error(self.model.decode(codes, count), batch) for count in (1, 2))
        return {"score": both, "mse": both, "mse top": top}

    def _kept(self, clips: int) -> Tensor:
        """0 for clips whose bottom level is masked, by chance, and 1 for the others."""
        return (torch.rand(clips, 1, 1, 1, 1) >= self.config.mask).float()

    def _commitment(self, volume: Volume) -> Tensor:
        quantised = volume.quantised
        return vector_loss(quantised.vectors, quantised.total, self.config.beta).commitment

    def _error(self, decoded: Clip, batch: Clip) -> Tensor:
        return (decoded.frames - batch.frames).square().sum((2, 3, 4)).mean()

    def _used(self) -> dict[str, Tensor]:
        """Of each level's codewords: the perplexity, and the share that is in use."""
        return {
            "perplexity top": self.top.perplexity()[0],
            "perplexity bottom": self.bottom.perplexity()[0],
            "used top": self.top.used()[0],
            "used bottom": self.bottom.used()[0],
        }


class BlockCoder:
    """Codes of context and future as the priors take them: see `VideoVQVAE.tokenize_block`."""

    def __init__(self, model: VideoVQVAE) -> None:
        """Encode with this model's autoencoder; its priors play no part."""
        self.model = model

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def encode(self, clip: Clip) -> Codes:
        """The tokens of both levels: of the context, coded alone, then of the future.

        Raises:
            FramecastError: if clips are not of the context's and the future's frames.
        """
        model, frames = self.model, clip.frames
        channels, height, width = frames.shape[-3:]
        with torch.no_grad(), evaluating(model):
            levels = model.tokenize_block(model.adapted(frames))
        return Codes(levels, model.values, (channels, height, width), clip.length)

    def fingerprint(self) -> str:
        """Digest of the autoencoder and of how many frames are the context."""
        config = self.model.config
        weights = digest_of(config.autoencoder, self.model.autoencoder)
        return f"{weights} after {config.context} frames alone"


@dataclass(frozen=True)
class PriorTraining(StageConfig):
    """What the trainings of both priors have in common."""

    def check(self, model: ModelConfig, context: int, horizon: int) -> None:
        """See that clips are of the frames that the priors are for."""
        assert isinstance(model, VideoVQVAEConfig)
        lengths = (
            ("context", context, "context", model.context),
            ("horizon", horizon, "future", model.future),
        )
        for name, given, field, own in lengths:
            if given != own:
                raise ConfigError(
                    f"the priors of this video-vqvae are for a {name} of {own} frames, not "
                    f"{given}; set --model.{field} {given}, too"
                )


class PriorStage(Stage):
    """A prior learns the codes of future frames; all else stays as it is."""

    def __init__(self, config: StageConfig, model: VideoVQVAE, context: int) -> None:
        """Nothing is encoded yet."""
        super().__init__(config, model, context)
        self.encodes = False  # while it learns

    def source(self, clips: Source) -> Source:
        """Codes of a fixed dataset, computed once; other clips are encoded as they come."""
        if clips.fixed:
            return CodedClips(clips, BlockCoder(self.model))
        self.encodes = True
        return clips

    def idle(self) -> list[nn.Module]:
        """All but the prior that learns, and the autoencoder where clips are encoded as they come.

        Where all codes are there, no network but the prior takes room on the device.
        """
        needed = self.model.autoencoder if self.encodes else None
        return [part for part in self.frozen() if part is not needed]

    def levels(self, batch: Clip | Codes) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        """Tokens of top and bottom: of the context, coded alone, then of the future."""
        codes = batch if isinstance(batch, Codes) else BlockCoder(self.model).encode(batch)
        return codes.levels


@dataclass(frozen=True)
class TopTraining(PriorTraining):
    """How the prior of top tokens is trained."""

    type: ClassVar[str] = "video-vqvae/top"
    optimizer: OptimizerConfig = ADAM
    """Optimizer of the top prior."""
    recompute: bool = False
    """Compute each layer again in the backward pass: equal gradients, less memory, more time."""
    sample_every: int = 0
    """Steps between pictures of predictions; the bottom prior cannot predict yet."""


class TopStage(PriorStage, of=VideoVQVAE, name="top"):
    """The prior of top tokens learns the future's, given the context's codes."""

    config_type = TopTraining

    def frozen(self) -> list[nn.Module]:
        """The autoencoder and the bottom prior."""
        return [self.model.autoencoder, self.model.bottom]

    def forward(self, phase: str, batch: Clip | Codes, step: int) -> dict[str, Tensor]:
        """Cross-entropy in nats, a mean over the future's top tokens; `bits` per token."""
        del phase, step
        recomputed = self.config.recompute
        return losses(self.model.top_log_probs(*self.levels(batch), recomputed=recomputed))

    @torch.no_grad()
    def validate(self, batch: Clip | Codes) -> dict[str, Tensor]:
        """The same."""
        found = self.forward("main", batch, 0)
        return {"score": found["total"], **found}


@dataclass(frozen=True)
class BottomTraining(PriorTraining):
    """How the prior of bottom tokens is trained."""

    type: ClassVar[str] = "video-vqvae/bottom"
    optimizer: OptimizerConfig = ADAM
    """Optimizer of the bottom prior."""
    slices: int | None = 1
    """Slices of the future, at random and the same of all clips of a micro-batch, that a step is
    about; None for all."""
    recompute: bool = False
    """Compute each layer again in the backward pass: equal gradients, less memory, more time."""

    def __post_init__(self) -> None:
        """Check the range."""
        super().__post_init__()
        if self.slices is not None and self.slices < 1:
            raise ConfigError(f"slices is at least 1 or None, got {self.slices}")


class BottomStage(PriorStage, of=VideoVQVAE, name="bottom"):
    """The prior of bottom tokens learns the future's, given its true top tokens too."""

    config_type = BottomTraining

    def frozen(self) -> list[nn.Module]:
        """The autoencoder and the top prior."""
        return [self.model.autoencoder, self.model.top]

    def forward(self, phase: str, batch: Clip | Codes, step: int) -> dict[str, Tensor]:
        """Cross-entropy in nats, a mean over the bottom tokens of some slices; `bits` per token."""
        del phase, step
        top, bottom = self.levels(batch)
        numbers = self._future(bottom)
        count = self.config.slices or len(numbers)
        chosen = [numbers[place] for place in torch.randperm(len(numbers))[:count].tolist()]
        return losses(self._log_probs(top, bottom, chosen))

    @torch.no_grad()
    def validate(self, batch: Clip | Codes) -> dict[str, Tensor]:
        """The same, of all slices."""
        top, bottom = self.levels(batch)
        found = losses(self._log_probs(top, bottom, self._future(bottom)))
        return {"score": found["total"], **found}

    def _future(self, bottom: Tensor) -> range:
        """Numbers of the future's slices."""
        return range(2 * self.model.config.slices[0], bottom.shape[1])

    def _log_probs(
        self, top: Tensor, bottom: Tensor, numbers: Sequence[int]
    ) -> Float[Tensor, "b n h w"]:
        recomputed = self.config.recompute
        each = [
            self.model.bottom_log_probs(top, bottom, number, recomputed=recomputed)
            for number in numbers
        ]
        return torch.stack(each, 1)


def losses(log_probs: Float[Tensor, "b n h w"]) -> dict[str, Tensor]:
    """Means of log-probabilities over tokens: what is minimised, in nats, and bits per token."""
    nats = -log_probs.mean()
    return {"total": nats, "bits": nats.detach() / math.log(2)}
