"""Data and a stochastic model made for these tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip, DataConfig, Key, Source, Split
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step
from framecast.noise import Noise


@dataclass(frozen=True)
class Handmade(DataConfig):
    """Smooth random videos, some of another size where `wide` says so."""

    type: ClassVar[str] = "handmade"
    count: int = 9
    channels: int = 1
    size: int = 16
    wide: tuple[int, ...] = ()
    still: bool = False
    scale: float = 1.0

    def source(self, split: Split, frames: int, seed: int) -> "HandmadeClips":
        return HandmadeClips(self, frames)


class HandmadeClips(Source):
    def __init__(self, config: Handmade, frames: int) -> None:
        self.config, self.frames = config, frames

    def __len__(self) -> int:
        return self.config.count

    def __getitem__(self, key: Key) -> Clip:
        config = self.config
        width = config.size + (8 if key[1] in config.wide else 0)
        random = torch.Generator().manual_seed(100 + key[1])
        shape = (1 if config.still else self.frames, config.channels, config.size, width)
        frames = torch.rand(shape, generator=random).expand(self.frames, -1, -1, -1)
        return Clip(frames.clone() * config.scale)

    def fingerprint(self) -> str:
        return f"handmade {self.config} {self.frames}"

    def notes(self) -> tuple[str, ...]:
        return ("made by hand",)


@dataclass(frozen=True)
class ToyConfig(ModelConfig):
    """How far its samples stray."""

    type: ClassVar[str] = "toy"
    width: float = 0.3
    channels: int | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class ToyOptions(Options):
    """How to predict."""

    shift: float = 0.0


class Toy(Model):
    """The last frame plus noise, anew for every frame; remembers how much it was asked at once."""

    config_type = ToyConfig
    options_type = ToyOptions

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.calls: list[tuple[int, int]] = []

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=self.config.channels, size=self.config.size)

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        last = context.frames[:, -1]
        self.calls.append((samples or 1, len(last)))
        assert isinstance(options, ToyOptions)
        for _ in range(horizon):
            drawn = noise.normal(*last.shape[1:]) * self.config.width
            yield Step(last + options.shift + (0 * drawn if samples is None else drawn))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        return clip.frames[:, :-1]
