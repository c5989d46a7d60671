"""A codec that can be checked by hand: brightness in steps, first of 4×4 squares, then of pixels.

Level 1 has one token for a pair of frames and each 4×4 square: its mean in `COARSE` steps. Level 2
has one for every pixel: what is left, in `FINE` steps. There is nothing to learn.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int64
from torch import Tensor

from framecast.clip import Clip
from framecast.codec import Codec
from framecast.model import FrameSpec, ModelConfig, Options, Step
from framecast.noise import Noise
from framecast.tokens import Grid

SQUARE, PAIR = 4, 2
COARSE, FINE = 6, 16


@dataclass(frozen=True)
class TinyCodecConfig(ModelConfig):
    """How many channels it takes."""

    type: ClassVar[str] = "tiny-codec"
    channels: int = 1


@dataclass(frozen=True)
class TinyOptions(Options):
    """How to predict."""

    dim: float = 1.0


class TinyCodec(Codec):
    """Predicts the last frame."""

    config_type = TinyCodecConfig
    options_type = TinyOptions
    config: TinyCodecConfig
    block = PAIR

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=self.config.channels, multiple_of=SQUARE, context_min=3)

    @property
    def values(self) -> tuple[int, ...]:
        return (COARSE, FINE)

    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        squares = (length // PAIR, height // SQUARE, width // SQUARE)
        return (squares, (length, height, width))

    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        gray = frames.mean(2)
        pairs = gray.unflatten(1, (-1, PAIR)).unflatten(3, (-1, SQUARE)).unflatten(5, (-1, SQUARE))
        coarse = (pairs.mean((2, 4, 6)) * COARSE).long().clamp(0, COARSE - 1)
        rest = (gray - self._spread(coarse) + 1) / 2
        return coarse, (rest * FINE).long().clamp(0, FINE - 1)

    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        frames = self._spread(levels[0])
        if len(levels) > 1:
            frames = frames + (levels[1] + 0.5) / FINE * 2 - 1
        return frames.unsqueeze(2).expand(-1, -1, self.config.channels, -1, -1)

    def _spread(self, coarse: Tensor) -> Tensor:
        sides = ((1, PAIR), (2, SQUARE), (3, SQUARE))
        frames = (coarse + 0.5) / COARSE
        for axis, times in sides:
            frames = frames.repeat_interleave(times, axis)
        return frames

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        assert isinstance(options, TinyOptions)
        last = context.frames[:, -1].expand(samples or 1, -1, -1, -1, -1)
        for _ in range(horizon):
            yield Step(last * options.dim)

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        return clip.frames[:, :-1]
