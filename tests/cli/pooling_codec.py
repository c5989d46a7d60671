"""A codec for tests of the command line: means over blocks of time and space, and what they leave.

Level 1 is the mean of four frames and 4×4 pixels, level 2 the rest in every frame and 2×2 pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from framecast.clip import Clip
from framecast.codec import Codec, Grid
from framecast.model import FrameSpec, ModelConfig, Options, Step
from framecast.noise import Noise

TIME, COARSE, FINE = 4, 4, 2


@dataclass(frozen=True)
class PoolingConfig(ModelConfig):
    """Sizes."""

    type: ClassVar[str] = "pooling"
    channels: int = 3
    """Of frames; only their mean is coded."""
    values: tuple[int, int] = (33, 21)
    """Of the tokens of each level."""


class Pooling(Codec):
    """Codes four frames at a time."""

    config_type = PoolingConfig
    config: PoolingConfig
    block = TIME

    def __init__(self, config: PoolingConfig) -> None:
        super().__init__(config)
        self.reach = nn.Parameter(torch.tensor(0.5))

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=self.config.channels, multiple_of=COARSE)

    @property
    def values(self) -> tuple[int, ...]:
        return self.config.values

    def grids(self, length: int, height: int, width: int) -> tuple[Grid, ...]:
        coarse = (length // TIME, height // COARSE, width // COARSE)
        return coarse, (length, height // FINE, width // FINE)

    def tokenize(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Int64[Tensor, "b _ _ _"], ...]:
        gray = frames.mean(2, keepdim=True).transpose(1, 2)
        coarse = nn.functional.avg_pool3d(gray, (TIME, COARSE, COARSE))
        first = coarse.mul(self.values[0] - 1).round().long()[:, 0]
        rest = nn.functional.avg_pool3d(gray - self._coarse(first), (1, FINE, FINE))
        second = (rest / self.reach + 1) / 2 * (self.values[1] - 1)
        return first, second.round().long().clamp(0, self.values[1] - 1)[:, 0]

    def render(self, levels: Sequence[Int64[Tensor, "b _ _ _"]]) -> Float[Tensor, "b t c h w"]:
        frames = self._coarse(levels[0])
        if len(levels) > 1:
            rest = (levels[1][:, None] / (self.values[1] - 1) * 2 - 1) * self.reach
            frames = frames + _enlarged(rest, (1, FINE, FINE))
        return frames.transpose(1, 2).expand(-1, -1, self.config.channels, -1, -1)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        for _ in range(horizon):
            yield Step(context.frames[:, -1].expand(samples or 1, -1, -1, -1, -1))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        return clip.frames[:, :-1]

    def _coarse(self, level: Int64[Tensor, "b t h w"]) -> Float[Tensor, "b 1 t2 h2 w2"]:
        return _enlarged(level[:, None] / (self.values[0] - 1), (TIME, COARSE, COARSE))


def _enlarged(grid: Tensor, factors: tuple[int, int, int]) -> Tensor:
    for axis, factor in enumerate(factors, start=2):
        grid = grid.repeat_interleave(factor, axis)
    return grid
