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
from framecast.models.video_vqvae.autoencoder import Level
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
        self.upkeep = nn.ModuleDict(
            {name: Upkeep(level.codebook, *terms) for name, level in self._levels().items()}
        )

    def frozen(self) -> list[nn.Module]:
        """The codebooks, which are averages, and all that is not of the autoencoder."""
        others = [part for part in self.model.children() if part is not self.model.autoencoder]
        return [*others, *(level.codebook for level in self._levels().values())]

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """Eq 2 without its second term, as means over all elements: pixels, numbers of a latent
        vector; the commitments of both levels are added up."""
        del phase, step
        frames = self.model.adapted(batch.frames)
        volumes = dict(zip(self._levels(), self.model.autoencoder(frames), strict=True))
        top, bottom = volumes["top"].straight_through, volumes["bottom"].straight_through
        if self.training:
            bottom = bottom * self._kept(len(frames)).to(bottom)
        decoded = self.model.autoencoder.decode(top, bottom)
        error = functional.mse_loss(decoded.float(), frames)
        codes = torch.zeros_like(error)
        for name, upkeep in self._upkeep().items():
            quantised = volumes[name].quantised
            if self.training:
                upkeep.see(quantised)
            terms = vector_loss(quantised.vectors, quantised.total, self.config.beta)
            codes = codes + terms.commitment
        return {"total": error + codes, "mse": error, "codes": codes, **self._used()}

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Eq 3; codebooks from data after the first step, and replacements of dead codewords."""
        for name, upkeep in self._upkeep().items():
            upkeep.after_step(self._levels()[name].codebook, step, reducer)

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

    def _levels(self) -> dict[str, Level]:
        autoencoder = self.model.autoencoder
        return {"top": autoencoder.top, "bottom": autoencoder.bottom}

    def _error(self, decoded: Clip, batch: Clip) -> Tensor:
        return (decoded.frames - batch.frames).square().sum((2, 3, 4)).mean()

    def _upkeep(self) -> dict[str, Upkeep]:
        return {name: part for name, part in self.upkeep.items() if isinstance(part, Upkeep)}

    def _used(self) -> dict[str, Tensor]:
        """Of each level's codewords: the perplexity, and the share that is in use."""
        values: dict[str, Tensor] = {}
        for name, upkeep in self._upkeep().items():
            values[f"perplexity {name}"] = upkeep.perplexity()[0]
            values[f"used {name}"] = upkeep.used()[0]
        return values
