"""A stage: one training procedure of a model."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framecast import registry
from framecast.clip import Clip, Source
from framecast.config import Config
from framecast.errors import ConfigError
from framecast.model import Model, ModelConfig
from framecast.schedules import Schedule


@dataclass(frozen=True)
class OptimizerConfig(Config):
    """An optimizer and its learning rate over time."""

    kind: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    """Update rule, as in `torch.optim`."""
    learning_rate: float = 1e-3
    """Learning rate after the warm-up."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's moments; the first is also the momentum of SGD and RMSprop, the second
    RMSprop's smoothing."""
    eps: float = 1e-8
    """Added to the denominator of Adam and RMSprop."""
    weight_decay: float = 0.0
    """Decoupled decay in `adamw`, L2 penalty in the others."""
    clip_norm: float | None = None
    """Largest norm of the gradient of all parameters together; None leaves it."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from 0."""
    schedule: Schedule = Schedule()
    """Factor on the learning rate, by step."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (self.learning_rate >= 0 and math.isfinite(self.learning_rate)):
            raise ConfigError(f"learning_rate is 0 or more, got {self.learning_rate}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas are from 0 to below 1, got {self.betas}")
        if not (self.eps > 0 and self.weight_decay >= 0 and self.warmup >= 0):
            raise ConfigError("eps is above 0, weight_decay and warmup are 0 or more")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm is above 0, or None for none; got {self.clip_norm}")

    def stretched(self, factor: float) -> "OptimizerConfig":
        """The same for a stage that takes `factor` times as many steps."""
        warmup = round(self.warmup * factor)
        return replace(self, warmup=warmup, schedule=self.schedule.stretched(factor))

    def rate(self, step: int, total: int) -> float:
        """The learning rate at a step, counted from 0, of a stage of `total` steps."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.learning_rate * rise * self.schedule(step, total)


@dataclass(frozen=True)
class StageConfig(Config):
    """Base of a stage's configuration; `type` is `model/stage`."""

    steps: int = 1000
    """Optimizer steps (each phase takes one in every step)."""
    batch: int = 16
    """Clips in a step, over all processes and micro-batches."""
    accumulate: int = 1
    """Micro-batches whose gradients are added up in a step; saves memory."""
    ema: float | None = None
    """Decay of the moving average of the weights that is validated and kept, shorter in the first
    steps; None for none."""
    validate_every: int = 500
    """Steps between validations."""
    validation_clips: int | None = 256
    """Clips of the validation split that are used, from the first; None for all."""
    checkpoint_every: int = 500
    """Steps between checkpoints; 0 for one at the beginning and one at the end alone."""
    log_every: int = 20
    """Steps between rows of the log."""
    sample_every: int = 1000
    """Steps between pictures of predictions; 0 for none."""
    keep: Literal["best", "last"] = "best"
    """Which weights the stage hands on: those of the best validation score, or the last ones."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("steps", "batch", "accumulate", "validate_every", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1")
        if self.validation_clips is not None and self.validation_clips < 1:
            raise ConfigError("validation_clips is at least 1, or None for all")
        if self.checkpoint_every < 0 or self.sample_every < 0:
            raise ConfigError("checkpoint_every and sample_every are 0 or more")
        if self.batch % self.accumulate:
            raise ConfigError(
                f"a batch of {self.batch} cannot be split into {self.accumulate} micro-batches"
            )
        if self.ema is not None and not 0 < self.ema < 1:
            raise ConfigError("ema is a decay between 0 and 1, or None")

    def check(self, model: ModelConfig, context: int, horizon: int) -> None:
        """See that the stage can train a model on clips of so many frames, before anything begins.

        Raises:
            ConfigError: says what does not fit; nothing by default.
        """
        del model, context, horizon

    def lasting(self, steps: int) -> "StageConfig":
        """The same stage in another number of steps.

        Schedules and warm-ups keep their shares of it, and it is validated and pictured as often as
        before.
        """
        factor = steps / self.steps
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        courses = {
            name: value.stretched(factor)
            for name, value in values
            if isinstance(value, Schedule | OptimizerConfig)
        }
        periods = {
            name: max(1, round(getattr(self, name) * factor))
            for name in ("validate_every", "sample_every")
            if getattr(self, name)
        }
        return replace(self, steps=steps, **courses, **periods)

    def build(self, model: Model, context: int) -> "Stage":
        """The stage of this configuration on a model."""
        return stage_class(self.type)(self, model, context)

    @classmethod
    def resolve(cls, name: str) -> "type[StageConfig]":
        """The configuration class of a stage's name."""
        return stage_class(name).config_type


def stage_class(name: str) -> "type[Stage]":
    """The stage of a name `model/stage`.

    Raises:
        ConfigError: if the model or the stage does not exist.
    """
    model, _, stage = name.partition("/")
    stages = registry.find("models", model).stages
    if stage not in stages:
        raise ConfigError(f"{model} has no stage {stage!r}; {registry.suggest(stage, stages)}")
    return stages[stage]


@runtime_checkable
class Reducer(Protocol):
    """What `after_step` may ask of the process group; Fabric is one."""

    @property
    def world_size(self) -> int:
        """Number of processes."""
        ...

    @property
    def global_rank(self) -> int:
        """Number of this process, from 0."""
        ...

    def all_reduce(self, data: Any, reduce_op: Any = "mean") -> Any:
        """Mean or sum of a tensor over the processes."""
        ...


class Stage(nn.Module):
    """One training procedure of a model; the data-parallel wrapper goes around it.

    A subclass names its model: `class Training(Stage, of=ConvLSTM, name="main")`.
    """

    config_type: ClassVar[type[StageConfig]] = StageConfig
    phases: tuple[str, ...] = ("main",)
    """Optimizers' turns inside a step, in order; a stage may set its own when it is made."""

    def __init__(self, config: Any, model: Any, context: int) -> None:
        """Keep the parts.

        Args:
            config: An instance of the stage's `config_type`.
            model: The model that is trained.
            context: Frames of each clip that are observed; the others are the horizon.
        """
        super().__init__()
        self.config = config
        self.model = model
        self.context = context

    def __init_subclass__(cls, of: type[Model] | None = None, name: str = "", **kw: Any) -> None:
        """Enter the stage in its model's table."""
        super().__init_subclass__(**kw)
        if of is not None:
            of.stages[name] = cls

    def parameters_of(self, phase: str) -> list[nn.Parameter]:
        """The parameters that a phase trains; by default all that are not frozen."""
        del phase
        frozen = {id(p) for module in self.frozen() for p in module.parameters()}
        return [p for p in self.parameters() if id(p) not in frozen]

    def optimizer(self, phase: str) -> OptimizerConfig:
        """The optimizer of a phase; by default the configuration's field `optimizer`."""
        del phase
        return self.config.optimizer

    def frozen(self) -> list[nn.Module]:
        """Modules kept in evaluation mode and without gradients."""
        return []

    def idle(self) -> list[nn.Module]:
        """Modules that neither steps nor validation need, now that the sources are made.

        Nothing changes them. They rest in the CPU's memory, once, until the model is written.
        """
        return []

    def begin(self) -> dict[str, str]:
        """Take over weights from elsewhere; called before the first step, and not to go on from a
        checkpoint.

        Returns:
            What was taken over and what was not, by part, for the run's record; nothing by default.
        """
        return {}

    def source(self, clips: Source) -> Source:
        """What the stage trains on: the clips, or something computed from them once."""
        return clips

    def forward(self, phase: str, batch: Any, step: int) -> dict[str, Tensor]:
        """The losses of a phase on a batch: `total` is minimised, every entry is logged."""
        raise NotImplementedError

    def after_step(self, step: int, reducer: Reducer) -> None:
        """Effects beside gradients (moving averages, restarts), once per step, all phases done."""

    def validate(self, batch: Any) -> dict[str, Tensor]:
        """Means over a batch of the validation split; lower `score` is better."""
        raise NotImplementedError

    def forced(
        self, frames: Float[Tensor, "b t c h w"], teacher_forcing: Schedule, step: int
    ) -> Bool[Tensor, "b horizon"]:
        """For each frame of the horizon, by chance, whether it is fed back as it truly was."""
        horizon = frames.shape[1] - self.context
        chance = teacher_forcing(step, self.config.steps)
        return (torch.rand(len(frames), horizon) < chance).to(frames.device)

    def rollout_scores(self, batch: Clip) -> dict[str, Tensor]:
        """What `validate` gives for a predictor of frames: the point prediction's squared error.

        It is summed over a frame's pixels after clipping to [0, 1], a mean over frames and clips.
        """
        context, future = batch.split(self.context)
        frames = self.model.predict(context, future.length).frames[0]
        error = (frames - future.frames).square().sum((2, 3, 4)).mean()
        return {"score": error, "mse": error}

    def train(self, mode: bool = True) -> "Stage":
        """Set the mode, with frozen modules kept in evaluation mode."""
        super().train(mode)
        for module in self.frozen():
            module.eval()
        return self
