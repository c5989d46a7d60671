"""How a V3D-ConvLSTM is trained: Eq 7, on all frames of all windows."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast import digest
from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.batch_norm import settle
from framecast.layers.resnet3d import copy_transposed
from framecast.models.v3d_convlstm.latent import (
    LatentLoss,
    LatentWeights,
    divergence,
    latent_loss,
)
from framecast.models.v3d_convlstm.model import V3DConvLSTM
from framecast.models.v3d_convlstm.unroll import ZFrom, noise_shape, unroll
from framecast.noise import mix
from framecast.schedules import Schedule
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a V3D-ConvLSTM is trained; without latent maps the fields that speak of them, and
    `z_from`, change nothing."""

    type: ClassVar[str] = "v3d-convlstm/main"
    batch: int = 6
    """Clips in a step, over all processes and micro-batches."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    """Optimizer of all parameters."""
    loss: Literal["l1+mse", "mse"] = "l1+mse"
    """L_rec of Eq 7: absolute plus squared error, as published, or the squared one alone. On dark
    frames with small bright things a median is black, and a narrow network may stay with it; by the
    squared error it learns from the first steps on."""
    latent_loss: LatentLoss = "paper"
    """What is minimised of the latent maps: `paper` is Eq 13 as it is printed, which is
    KL(prior‖posterior) reweighted; `kl` is KL(posterior‖prior), as Eq 8 has it; `kl+ll` adds the
    negative log-likelihood of the prior's mean under the posterior."""
    latent_weights: LatentWeights = field(default_factory=LatentWeights)
    """Coefficients of Eq 13, for `latent_loss` `paper` alone."""
    latent_weight: Schedule = Schedule(0.0, 1e-3, steps=None)
    """λ_latent of Eq 7 by step; it grows, which is the β warm-up."""
    z_from: ZFrom = "posterior"
    """Which latent maps the decoder and the next step take in training: a draw from the posterior,
    or from the prior, as Eqs 5 and 6 are printed. The posterior then learns from the latent loss
    alone."""
    teacher_forcing: Schedule = Schedule(1.0, 0.0, steps=None)
    """Probability, by step, that a frame of the horizon is fed back as it truly was."""
    pretrained: Path | None = None
    """Weights of r3d_18, learnt on Kinetics-400 and made safetensors by `framecast weights
    convert`, that encoder and decoder begin with; they take the place of those of `--init`. The
    model is then of the paper's width and depth."""

    def __post_init__(self) -> None:
        """Check that the latent fields go together."""
        super().__post_init__()
        if self.latent_loss != "paper" and self.latent_weights != LatentWeights():
            raise ConfigError(
                f"latent_weights are the coefficients of the latent_loss 'paper', which is "
                f"{self.latent_loss!r} here; leave them, or choose 'paper'"
            )


class Training(Stage, of=V3DConvLSTM, name="main"):
    """Learns to predict windows, and a prior of what their targets tell the posterior.

    Batch statistics of true windows are of all of them together, those of windows with predicted
    frames of one step; the running ones move once per step, towards the mean of all of these. There
    all true windows weigh as much as the windows of one step with predicted frames, so that these
    prevail once predictions are fed back, as they do in what is encoded after a context.
    """

    config_type = TrainingConfig

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """L_rec and L_latent, means over pixels and over the latent maps' numbers: Eq 7."""
        del phase
        frames = self.model.coloured(batch.frames)
        forced = self.forced(frames, self.config.teacher_forcing, step)
        terms = self._terms(frames, forced, torch.randn(self._noise_shape(frames)))
        total = terms["reconstruction"]
        if "latent" in terms:
            total = total + self.config.latent_weight(step, self.config.steps) * terms["latent"]
        return {"total": total, **terms}

    def begin(self) -> dict[str, str]:
        """Load the pretrained encoder, and its transpose into the decoder."""
        path = self.config.pretrained
        if path is None:
            return {}
        encoders = {"encoder": self.model.encoder}
        if self.model.config.posterior_encoder == "separate":
            encoders["posterior_encoder"] = self.model.posterior_encoder
        for encoder in encoders.values():
            encoder.load_kinetics(path)
        copied = copy_transposed(self.model.encoder, self.model.decoder)
        whole = f"all tensors of {path} (SHA-256 {digest.of_file(path)})"
        return {
            **dict.fromkeys(encoders, whole),
            "decoder": f"the encoder's, transposed, in {', '.join(copied.copied)}; "
            f"new weights in {', '.join(copied.left)}",
        }

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Move the running statistics of the norms."""
        del step
        settle(self.model, reducer)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout, and the terms of Eq 7 with true inputs and fixed noise."""
        frames = self.model.coloured(batch.frames)
        source = torch.Generator().manual_seed(mix("v3d-convlstm", "validation"))
        noise = torch.randn(self._noise_shape(frames), generator=source)
        horizon = frames.shape[1] - self.context
        forced = torch.ones(len(frames), horizon, dtype=torch.bool, device=frames.device)
        with torch.no_grad():
            terms = self._terms(frames, forced, noise)
        bound = {f"bound_{name}": value for name, value in terms.items()}
        return {**self.rollout_scores(batch), **bound}

    def _noise_shape(self, frames: Tensor) -> tuple[int, ...]:
        return noise_shape(self.model, frames, self.context)

    def _terms(
        self, frames: Float[Tensor, "b t c h w"], forced: Bool[Tensor, "b horizon"], noise: Tensor
    ) -> dict[str, Tensor]:
        """`kl` is KL(posterior‖prior) per number, in nats, whatever the latent loss is."""
        config = self.config
        unrolled = unroll(self.model, frames, self.context, forced, noise.to(frames), config.z_from)
        error = unrolled.predicted - unrolled.true  # in the precision of the true frames
        loss = error.square() + error.abs() if config.loss == "l1+mse" else error.square()
        terms = {"reconstruction": loss.mean()}
        q, p = unrolled.posterior, unrolled.prior
        if q is None or p is None:
            return terms
        latent = latent_loss(q, p, config.latent_loss, config.latent_weights)
        return {**terms, "latent": latent, "kl": divergence(q, p).mean()}
