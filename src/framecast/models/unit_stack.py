"""A stack of any recurrent unit between a plain encoder and decoder.

The comparison of predictive units: everything but the unit is the same, and nothing but the unit
carries information from frame to frame. Encoder and decoder have no skips, so the bottleneck is the
sharpness that a model can have at most.

Reference:
    Chang et al., STIP (2022), Section IV-E 2 and Table VII.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from framecast import registry
from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.recompute import recompute
from framecast.layers.recurrent.stack import Stack, StackState
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, pad_to_multiple
from framecast.noise import Noise
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Stage, StageConfig

SLOPE = 0.2
"""Of LeakyReLU below 0."""


@dataclass(frozen=True)
class UnitStackConfig(ModelConfig):
    """Sizes of a stack of recurrent units."""

    type: ClassVar[str] = "unit-stack"
    unit: str = "stgru"
    """Registered name of the unit (`framecast models --units` lists them)."""
    channels: int = 3
    """Channels of a frame."""
    patch: int = 4
    """Frames are cut into patches of this size, whose pixels become channels."""
    levels: int = 4
    """Convolutions of the encoder, and of the decoder, each of which halves or doubles the size."""
    layers: int = 16
    """Units on top of one another."""
    hidden: int = 128
    """Channels of the units, the encoder and the decoder."""
    kernel: int = 5
    """Width of the units' convolutions."""
    norm: Literal["group", "none"] = "group"
    """Normalisation of what each unit takes, the same for all kinds. Without it sixteen units of
    most kinds do not train: each gives a fraction of what it takes."""

    def __post_init__(self) -> None:
        """Check the unit's name and the sizes."""
        registry.target("units", self.unit)
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd, so that maps keep their size; got {self.kernel}")
        for name in ("channels", "patch", "levels", "layers", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, got {getattr(self, name)}")

    @property
    def patch_channels(self) -> int:
        """Channels of a frame cut into patches."""
        return self.channels * self.patch**2


def _stack(config: UnitStackConfig) -> Stack:
    """Units with their own defaults."""
    kind = registry.find("units", config.unit)
    units = (kind(config.hidden, config.hidden, config.kernel) for _ in range(config.layers))
    return Stack(units, between=config.norm)


def _encoder(config: UnitStackConfig) -> nn.Sequential:
    layers: list[nn.Module] = [nn.PixelUnshuffle(config.patch)]
    inputs = config.patch_channels
    for _ in range(config.levels):
        layers += [nn.Conv2d(inputs, config.hidden, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        inputs = config.hidden
    return nn.Sequential(*layers)


def _decoder(config: UnitStackConfig) -> nn.Sequential:
    layers: list[nn.Module] = []
    for level in reversed(range(config.levels)):
        outputs = config.hidden if level else config.patch_channels
        layers += [
            nn.ConvTranspose2d(config.hidden, outputs, 3, stride=2, padding=1, output_padding=1),
            nn.LeakyReLU(SLOPE) if level else nn.PixelShuffle(config.patch),
        ]
    return nn.Sequential(*layers)


class UnitStack(Model):
    """A stack of any recurrent unit between a plain encoder and decoder; frames of any size."""

    config_type = UnitStackConfig

    def __init__(self, config: UnitStackConfig) -> None:
        """Make encoder, units and decoder."""
        super().__init__(config)
        self.encoder = _encoder(config)
        self.stack = _stack(config)
        self.decoder = _decoder(config)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to what the encoder halves."""
        return FrameSpec(channels=self.config.channels, multiple_of=self._multiple)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict and feed back, holding the states alone; all samples are equal."""
        del noise, options
        features, state = None, None
        for observed in context.frames.unbind(1):
            features, state = self._remember(observed, state)
        for done in range(1, horizon + 1):
            frame = self.decoder(features)
            yield Step(frame.expand(samples or 1, *frame.shape))
            if done < horizon:
                features, state = self._remember(frame, state)

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, from the true frames up to it."""
        nothing_fed_back = torch.ones(len(clip.frames), 0, dtype=torch.bool)
        return self.unroll(clip.frames, clip.length, nothing_fed_back)

    def unroll(
        self,
        frames: Float[Tensor, "b t c h w"],
        context: int,
        forced: Bool[Tensor, "b horizon"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b t2 c h w"]:
        """Predict the frames after the first in training, with scheduled sampling.

        Args:
            frames: The true clip.
            context: Frames of it that are observed.
            forced: For each frame of the horizon but the last, whether the true frame is fed back
                rather than the prediction.
            recomputed: Keep frames and states alone for the backward pass, and compute the rest of
                each step again.

        Returns:
            Predictions of frames 1, 2, …
        """
        height, width = frames.shape[-2:]
        frames = pad_to_multiple(frames, self._multiple)
        state, predictions = None, []
        for number, fed in enumerate(frames[:, :-1].unbind(1)):
            if number >= context:
                share = forced[:, number - context, None, None, None]
                fed = torch.where(share, fed, predictions[-1].to(fed))  # noqa: PLW2901
            predicted, state = recompute(self._advance, fed, state, when=recomputed)
            predictions.append(predicted)
        return torch.stack(predictions, 1)[..., :height, :width]

    @property
    def _multiple(self) -> int:
        return self.config.patch * 2**self.config.levels

    def _advance(self, frame: Tensor, state: StackState | None) -> tuple[Tensor, StackState]:
        """The frame after `frame`."""
        features, state = self._remember(frame, state)
        return self.decoder(features), state

    def _remember(self, frame: Tensor, state: StackState | None) -> tuple[Tensor, StackState]:
        features = self.encoder(frame)
        return self.stack(features, state or self.stack.initial(features))


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a stack of recurrent units is trained."""

    type: ClassVar[str] = "unit-stack/main"
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-4)
    """Optimizer of all parameters."""
    teacher_forcing: Schedule = constant(1.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was. Always, as in
    the paper, is training to predict the next frame."""
    recompute: bool = False
    """Compute each step again in the backward pass: equal gradients, less memory, more time."""


class Training(Stage, of=UnitStack, name="main"):
    """Squared error of next frames."""

    config_type = TrainingConfig

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """The loss over all frames but the first, a mean per pixel."""
        del phase
        frames = self.model.coloured(batch.frames)
        forced = self.forced(frames, self.config.teacher_forcing, step)
        recomputed = self.config.recompute
        predicted = self.model.unroll(frames, self.context, forced, recomputed=recomputed)
        return {"total": functional.mse_loss(predicted.float(), frames[:, 1:])}

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout."""
        return self.rollout_scores(batch)
