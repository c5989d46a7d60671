"""How a Video VQ-VAE is trained: the autoencoder (§2.1, §3.1)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.quantise import vector_loss
from framecast.layers.upkeep import Upkeep
from framecast.models.video_vqvae.autoencoder import Volume
from framecast.models.video_vqvae.model import VideoVQVAE
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig

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
        others = [part for part in self.model.children() if part is not network]
        return [*others, network.top.codebook, network.bottom.codebook]

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
