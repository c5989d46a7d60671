"""How STIP is trained: Eq 9, in two phases where there is a discriminator (Algorithm 1)."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.models.stip.adversary import (
    Discriminator,
    DiscriminatorConfig,
    Reduction,
    Verdict,
    adversarial_loss,
    learned_perceptual_loss,
)
from framecast.models.stip.model import STIP
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Stage, StageConfig

Loss = Literal["mse", "mse+gan", "mse+gan+lp"]


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a STIP is trained."""

    type: ClassVar[str] = "stip/main"
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-4)
    """Optimizer of the model."""
    loss: Loss = "mse"
    """Terms of Eq 9 (Table VIII): squared error, the adversarial term, the learned distance."""
    lp_weight: float = 0.01
    """Weight of the learned perceptual loss: γ1 of Algorithm 1."""
    adversarial_weight: float = 0.001
    """Weight of the adversarial loss: γ2 of Algorithm 1."""
    adversarial_reduction: Reduction = "time-mean"
    """Over frames."""
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    """The discriminator, for the losses that have one."""
    discriminator_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-5)
    """Its optimizer."""
    teacher_forcing: Schedule = constant(0.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was."""
    recompute: bool = False
    """Compute each step again in the backward pass: equal gradients, less memory, more time."""

    def __post_init__(self) -> None:
        """Check the weights."""
        super().__post_init__()
        if min(self.lp_weight, self.adversarial_weight) < 0:
            raise ConfigError("lp_weight and adversarial_weight are 0 or more")


class Training(Stage, of=STIP, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig

    def __init__(self, config: TrainingConfig, model: STIP, context: int) -> None:
        """Make the discriminator, whose turn comes first, where the loss has one."""
        super().__init__(config, model, context)
        self.discriminator = None
        if config.loss != "mse":
            patch = model.config.patch
            self.discriminator = Discriminator(config.discriminator, model.config.channels, patch)
            self.phases = ("discriminator", "main")

    def parameters_of(self, phase: str) -> list[nn.Parameter]:
        """The discriminator's or the model's."""
        trained = self.discriminator if phase == "discriminator" else self.model
        assert trained is not None
        return list(trained.parameters())

    def optimizer(self, phase: str) -> OptimizerConfig:
        """Of the discriminator or of the model."""
        config = self.config
        return config.discriminator_optimizer if phase == "discriminator" else config.optimizer

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """The losses over all predicted frames, those of the context included."""
        frames = self.model.coloured(batch.frames)
        with torch.set_grad_enabled(phase == "main" and torch.is_grad_enabled()):
            predicted = self._predict(frames, step).float()
        if phase == "discriminator":
            return self._judge(predicted, frames[:, 1:])
        error = functional.mse_loss(predicted, frames[:, 1:])
        if self.discriminator is None:
            return {"total": error}
        return self._please(predicted, frames[:, 1:], error)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout."""
        return self.rollout_scores(batch)

    def _verdicts(self, *clips: Tensor) -> list[Verdict]:
        assert self.discriminator is not None
        return [self.discriminator(frames) for frames in clips]

    def _predict(self, frames: Float[Tensor, "b t c h w"], step: int) -> Tensor:
        forced = self.forced(frames, self.config.teacher_forcing, step)
        recomputed = self.config.recompute
        return self.model.unroll(frames, self.context, forced, recomputed=recomputed)

    def _judge(self, predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
        """L_GAN(D) of Eq 10."""
        reduction = self.config.adversarial_reduction
        judged_true, judged = self._verdicts(true, predicted)
        on_true = adversarial_loss(judged_true.logits, True, reduction)
        on_predicted = adversarial_loss(judged.logits, False, reduction)
        return {"total": on_true + on_predicted, "true": on_true, "predicted": on_predicted}

    def _please(self, predicted: Tensor, true: Tensor, error: Tensor) -> dict[str, Tensor]:
        """Eq 9."""
        config, (judged,) = self.config, self._verdicts(predicted)
        fooled = adversarial_loss(judged.logits, True, config.adversarial_reduction)
        total = error + config.adversarial_weight * fooled
        losses = {"mse": error, "adversarial": fooled}
        if config.loss == "mse+gan+lp":
            (judged_true,) = self._verdicts(true)
            losses["lp"] = learned_perceptual_loss(judged.features, judged_true.features)
            total = total + config.lp_weight * losses["lp"]
        return {"total": total, **losses}
