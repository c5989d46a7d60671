"""A stack of any recurrent unit between a plain encoder and decoder.

The comparison of predictive units: everything but the unit is the same, and nothing but the unit
carries information from frame to frame. Encoder and decoder have no skips, so the bottleneck is the
sharpness that a model can have at most.

Reference:
    Chang et al., STIP (2022), Section IV-E 2 and Table VII.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor, nn

from framecast import registry
from framecast.errors import ConfigError
from framecast.layers.recurrent.stack import Stack, StackState
from framecast.model import FrameSpec, ModelConfig
from framecast.models.recurrent import NextFrames, Recurrent, RecurrentTraining
from framecast.schedules import Schedule, constant

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


class UnitStack(Recurrent):
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
        return FrameSpec(
            channels=self.config.channels, multiple_of=self.config.patch * 2**self.config.levels
        )

    def advance(
        self, frame: Float[Tensor, "b c h w"], state: StackState | None
    ) -> tuple[Tensor, StackState]:
        """The frame after `frame`."""
        features, state = self._remember(frame, state)
        return self.decoder(features), state

    def after(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Tensor, StackState | None]:
        """The prediction after the last observed frame; the earlier ones are not decoded."""
        state = None
        for observed in frames[:, :-1].unbind(1):
            _, state = self._remember(observed, state)
        return self.advance(frames[:, -1], state)

    def _remember(self, frame: Tensor, state: StackState | None) -> tuple[Tensor, StackState]:
        features = self.encoder(frame)
        return self.stack(features, state or self.stack.initial(features))


@dataclass(frozen=True)
class TrainingConfig(RecurrentTraining):
    """How a stack of recurrent units is trained."""

    type: ClassVar[str] = "unit-stack/main"
    teacher_forcing: Schedule = constant(1.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was. Always, as in
    the paper, is training to predict the next frame."""


class Training(NextFrames, of=UnitStack, name="main"):
    """Squared error of next frames."""

    config_type = TrainingConfig
