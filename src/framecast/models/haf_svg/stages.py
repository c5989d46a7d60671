"""How HAF-SVG and SVG-LP are trained: the β-weighted bound of Eq 1."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.batch_norm import settle
from framecast.models.haf_svg.model import HAFSVG
from framecast.noise import mix
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a HAF-SVG is trained."""

    type: ClassVar[str] = "haf-svg/main"
    batch: int = 100
    """Clips in a step, over all processes and micro-batches."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3, betas=(0.9, 0.999))
    """Optimizer of all networks. SVG's program has one Adam for each, with equal settings: as Adam
    treats every weight for itself, that is the same."""
    beta: Schedule = constant(1e-4)
    """β of Eq 1, the weight of the divergence, by step."""
    loss_from: Literal["second", "future"] = "second"
    """First frame that counts: the second of the clip, as in SVG's program, or the first one after
    the context, as Eq 1 says."""
    teacher_forcing: Schedule = constant(1.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was. SVG's program
    always does so."""

    def __post_init__(self) -> None:
        """Check the weight."""
        super().__post_init__()
        if min(self.beta.start, self.beta.end) < 0:
            raise ConfigError("beta is 0 or more")


class Training(Stage, of=HAFSVG, name="main"):
    """Learns to predict the next frame, and a prior of what the next frame tells the posterior.

    Batch statistics are of all frames of a clip together, where SVG's program has those of one time
    step, and the running ones move once per step; predictions use the running ones, where that
    program goes on with statistics of the batch that it predicts.
    """

    config_type = TrainingConfig

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """Σ_t MSE + β Σ_t Σ_j KL, a mean over clips."""
        del phase
        frames = self.model.coloured(batch.frames)
        noise = torch.randn(self._noise_shape(frames))
        forced = self.forced(frames, self.config.teacher_forcing, step)
        return self._bound(frames, noise, self.config.beta(step, self.config.steps), forced)

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Move the running statistics of the norms."""
        del step
        settle(self.model, reducer)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout; the bound with the last β and always the same noise."""
        frames = self.model.coloured(batch.frames)
        source = torch.Generator().manual_seed(mix("haf-svg", "validation"))
        with torch.no_grad():
            noise = torch.randn(self._noise_shape(frames), generator=source)
            terms = self._bound(frames, noise, self.config.beta.end)
        bound = {f"bound_{name}": value for name, value in terms.items()}
        return {**self.rollout_scores(batch), **bound}

    def _noise_shape(self, frames: Tensor) -> tuple[int, int, int]:
        return len(frames), frames.shape[1] - 1, self.model.config.latent.total

    def _bound(
        self,
        frames: Float[Tensor, "b t c h w"],
        noise: Float[Tensor, "b t2 z"],
        beta: float,
        forced: Bool[Tensor, "b horizon"] | None = None,
    ) -> dict[str, Tensor]:
        """`mse` and `kl` are sums over frames; `kl_1` … are the groups' shares, in nats."""
        unrolled = self.model.unroll(frames, self.context, noise.to(frames), forced)
        first = self.context - 1 if self.config.loss_from == "future" else 0
        error = (unrolled.frames.float() - frames[:, 1:]).square().mean((0, 2, 3, 4))
        groups = unrolled.divergence[:, first:].sum(1).mean(0)
        mse, kl = error[first:].sum(), groups.sum()
        shares = {f"kl_{number}": share for number, share in enumerate(groups.unbind(), 1)}
        return {"total": mse + beta * kl, "mse": mse, "kl": kl, **shares}
