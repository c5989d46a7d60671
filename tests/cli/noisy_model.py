"""A model for tests of the command line: the last frame plus noise of a chosen strength."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step
from framecast.noise import Noise


@dataclass(frozen=True)
class NoisyConfig(ModelConfig):
    """Nothing to configure."""

    type: ClassVar[str] = "noisy"


@dataclass(frozen=True)
class NoisyOptions(Options):
    """How strong."""

    strength: float = 0.1


class Noisy(Model):
    """Needs three frames of 16×20 pixels, and keeps four."""

    config_type = NoisyConfig
    options_type = NoisyOptions

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=3, size=(16, 20), context_min=3, context_max=4)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        last = context.frames[:, -1]
        strength = options.strength if samples else 0.0
        for _ in range(horizon):
            yield Step(last + strength * noise.normal(*last.shape[1:]))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        return clip.frames[:, :-1]
