"""A tiny model with everything that a trainer must cope with.

Frozen parts, two phases, a codebook that moves in `after_step`, training noise, a second stage on
cached codes: each is small enough to be checked by hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip, DataConfig, Key, Source, Split
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step
from framecast.noise import Noise, mix
from framecast.registry import register
from framecast.stage import OptimizerConfig, Reducer, Stage, StageConfig

SIZE = 4  # pixels
WIDTH = 6  # values of a frame's code vector


@dataclass(frozen=True)
class Dots(DataConfig):
    """Noise that fades: every next frame is a fixed part of the one before."""

    type: ClassVar[str] = "dots"
    clips: int = 24
    """Clips in each split."""
    fixed: bool = True
    """Whether an index gives the same clip in every epoch."""

    def source(self, split: Split, frames: int, seed: int) -> Source:
        """Clips of one split."""
        return DotsSource(self, split, frames, seed)


class DotsSource(Source):
    """Makes a clip from its names."""

    def __init__(self, config: Dots, split: Split, frames: int, seed: int) -> None:
        self.config, self.split, self.frames, self.seed = config, split, frames, seed
        self.fixed = config.fixed

    def __len__(self) -> int:
        return self.config.clips

    def __getitem__(self, key: Key) -> Clip:
        epoch, index = key
        seed = mix(self.seed, self.split, 0 if self.fixed else epoch, index)
        first = torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
        return Clip(torch.stack([first * 0.8**t for t in range(self.frames)]))

    def fingerprint(self) -> str:
        return f"{self.config}{self.split}{self.frames}{self.seed}"


@dataclass(frozen=True)
class DummyConfig(ModelConfig):
    """A dummy's sizes."""

    type: ClassVar[str] = "dummy"
    codes: int = 8
    """Entries of the codebook."""


class Dummy(Model):
    """Frames to a vector, the vector to its nearest code, the next frame from the code."""

    config_type = DummyConfig
    config: DummyConfig
    codebook: Tensor

    def __init__(self, config: DummyConfig) -> None:
        super().__init__(config)
        self.fixed = nn.Linear(SIZE * SIZE, SIZE * SIZE)
        self.encoder = nn.Linear(SIZE * SIZE, WIDTH)
        self.decoder = nn.Linear(WIDTH, SIZE * SIZE)
        self.prior = nn.Embedding(config.codes, config.codes)
        self.register_buffer("codebook", torch.randn(config.codes, WIDTH))

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=1, size=(SIZE, SIZE))

    def vectors(self, frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n d"]:
        return self.encoder(self.fixed(frames.flatten(-3)))

    def codes(self, vectors: Float[Tensor, "*n d"]) -> Int64[Tensor, "*n"]:
        return (vectors.unsqueeze(-2) - self.codebook).square().sum(-1).argmin(-1)

    def frames(self, vectors: Float[Tensor, "*n d"]) -> Float[Tensor, "*n c h w"]:
        return self.decoder(vectors).unflatten(-1, (1, SIZE, SIZE))

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        code = self.codes(self.vectors(context.frames[:, -1]))
        for _ in range(horizon):
            code = self.prior(code).argmax(-1)
            frame = self.frames(functional.embedding(code, self.codebook))
            yield Step(frame.expand(samples or 1, -1, -1, -1, -1))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        return self.frames(self.vectors(clip.frames[:, :-1]))


@dataclass(frozen=True)
class PlainConfig(StageConfig):
    """A stage without noise, batch statistics or codes."""

    type: ClassVar[str] = "dummy/plain"
    optimizer: OptimizerConfig = OptimizerConfig()
    """Of all that is trained."""
    break_at: int | None = None
    """Step at which the loss is no number."""


class Plain(Stage, of=Dummy, name="plain"):
    """Learns the next frame by squared error."""

    config_type = PlainConfig

    def frozen(self) -> list[nn.Module]:
        return [self.model.fixed, self.model.prior]

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        error = functional.mse_loss(self.model.teacher_forced(batch), batch.frames[:, 1:])
        if step == self.config.break_at:
            error = error * float("nan")
        return {"total": error, "root": error.sqrt()}

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        error = functional.mse_loss(self.model.teacher_forced(batch), batch.frames[:, 1:])
        return {"score": error}


@dataclass(frozen=True)
class CodesConfig(StageConfig):
    """A stage with two phases, noise and a codebook."""

    type: ClassVar[str] = "dummy/codes"
    optimizer: OptimizerConfig = OptimizerConfig()
    """Of the networks."""
    critic: OptimizerConfig = OptimizerConfig(kind="sgd", betas=(0.5, 0.0), learning_rate=0.01)
    """Of the critic."""
    noise: float = 0.5
    """Part of the critic's values that are dropped."""


class CodesStage(Stage, of=Dummy, name="codes"):
    """Learns codes of frames, against a critic."""

    config_type = CodesConfig
    phases = ("predictor", "critic")

    def __init__(self, config: CodesConfig, model: Dummy, context: int) -> None:
        super().__init__(config, model, context)
        self.critic = nn.Sequential(
            nn.Linear(SIZE * SIZE, 4), nn.Dropout(config.noise), nn.Linear(4, 1)
        )
        self.seen: list[tuple[Tensor, Tensor]] = []

    def frozen(self) -> list[nn.Module]:
        return [self.model.fixed, self.model.prior]

    def parameters_of(self, phase: str) -> list[nn.Parameter]:
        if phase == "critic":
            return list(self.critic.parameters())
        return [*self.model.encoder.parameters(), *self.model.decoder.parameters()]

    def optimizer(self, phase: str) -> OptimizerConfig:
        return self.config.critic if phase == "critic" else self.config.optimizer

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        vectors = self.model.vectors(batch.frames)
        index = self.model.codes(vectors)
        quantised = functional.embedding(index, self.model.codebook)
        decoded = self.model.frames(vectors + (quantised - vectors).detach())
        if phase == "critic":
            real = self.critic(batch.frames.flatten(-3))
            total = self.critic(decoded.detach().flatten(-3)).mean() - real.mean()
            return {"total": total}
        self.seen.append((vectors.detach(), index))
        error = functional.mse_loss(decoded, batch.frames)
        commitment = functional.mse_loss(vectors, quantised)
        judged = self.critic(decoded.flatten(-3)).mean()
        return {"total": error + commitment - 0.01 * judged, "error": error}

    def after_step(self, step: int, reducer: Reducer) -> None:
        codes = self.model.config.codes
        vectors = torch.cat([v.flatten(0, -2) for v, _ in self.seen])
        one_hot = functional.one_hot(torch.cat([i.flatten() for _, i in self.seen]), codes).float()
        self.seen = []
        sums = reducer.all_reduce(one_hot.T @ vectors, reduce_op="sum")
        counts = reducer.all_reduce(one_hot.sum(0), reduce_op="sum").unsqueeze(-1)
        means = torch.where(counts > 0, sums / counts.clamp_min(1), self.model.codebook)
        self.model.codebook.lerp_(means, 0.1)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        index = self.model.codes(self.model.vectors(batch.frames))
        decoded = self.model.frames(functional.embedding(index, self.model.codebook))
        return {"score": functional.mse_loss(decoded, batch.frames), "used": index.float().std()}


@dataclass(frozen=True)
class PriorConfig(StageConfig):
    """A stage on cached codes."""

    type: ClassVar[str] = "dummy/prior"
    optimizer: OptimizerConfig = OptimizerConfig(kind="adamw", weight_decay=0.1)
    """Of the prior."""


@dataclass(frozen=True)
class CodeRow:
    """Codes of a clip, alone or in a batch."""

    codes: Int64[Tensor, "*b t"]

    def to(self, device: torch.device | str, **kwargs: Any) -> "CodeRow":
        return CodeRow(self.codes.to(device, **kwargs))

    @staticmethod
    def collate(rows: Any) -> "CodeRow":
        return CodeRow(torch.stack([row.codes for row in rows]))


class CodeSource(Source):
    """Codes of all clips, computed once."""

    def __init__(self, clips: Source, model: Dummy) -> None:
        self.clips = clips
        with torch.no_grad():
            frames = [clips[0, index].frames for index in range(len(clips))]
            codes = [model.codes(model.vectors(each.to(model.codebook.device))) for each in frames]
        self.rows = torch.stack(codes).cpu()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> CodeRow:
        return CodeRow(self.rows[key[1]])

    def fingerprint(self) -> str:
        return "codes of " + self.clips.fingerprint()


class Prior(Stage, of=Dummy, name="prior"):
    """Learns the next code."""

    config_type = PriorConfig

    def frozen(self) -> list[nn.Module]:
        return [self.model.fixed, self.model.encoder, self.model.decoder]

    def source(self, clips: Source) -> Source:
        return CodeSource(clips, self.model)

    def forward(self, phase: str, batch: CodeRow, step: int) -> dict[str, Tensor]:
        logits = self.model.prior(batch.codes[:, :-1])
        total = functional.cross_entropy(logits.flatten(0, 1), batch.codes[:, 1:].flatten())
        return {"total": total}

    def validate(self, batch: CodeRow) -> dict[str, Tensor]:
        return {"score": self.forward("main", batch, 0)["total"]}


register("models", "dummy", f"{__name__}:Dummy")
register("data", "dots", f"{__name__}:Dots")
