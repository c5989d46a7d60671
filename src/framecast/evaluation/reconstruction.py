"""Clips encoded and decoded: their frames, and what the codes cost and how they are used."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from framecast.clip import Clip
from framecast.codec import Codec
from framecast.errors import ConfigError
from framecast.evaluation.result import CodecInfo, LevelInfo
from framecast.evaluation.scoring import Futures, Keep, Score, score_frames
from framecast.model import Model, Options
from framecast.tokens import Codes, Usage, width

RAW_BITS = 8
"""Bits of a pixel's channel that codes are compared with."""


@dataclass(frozen=True)
class Reconstruction:
    """Frames that went through codes, with their scores."""

    codes: Codes
    futures: Futures
    """Scores with one row of samples; `seconds` is what encoding and decoding took."""


def check_codec(model: Model, clip: Clip, levels: int | None, options: Options) -> None:
    """See that a model can encode and decode clips.

    Args:
        model: Has to be a `Codec`.
        clip: A batch of one.
        levels: As in `reconstruct`.
        options: Of predictions: they have to be the usual ones, since nothing would read them.

    Raises:
        FramecastError: one line that says what does not fit.
    """
    name = model.config.type
    if not isinstance(model, Codec):
        raise ConfigError(f"{name} has no codes to reconstruct frames from; predict with it")
    if options != model.options_type():
        raise ConfigError(f"options of {name} are for predictions; a reconstruction takes none")
    model.decode(model.encode(clip.to(model.device)), levels)


def reconstruct(
    codec: Codec,
    given: Clip,
    truth: Clip,
    score: Score,
    *,
    levels: int | None,
    keep: Keep,
    through: Callable[[Tensor], Tensor] | None = None,
) -> Reconstruction:
    """Encode, decode and score clips.

    Args:
        codec: In evaluation mode or not; it sees to that.
        given: Frames to encode, `b t c h w`.
        truth: Frames to compare with, of the size that `through` gives.
        score: What is measured.
        levels: Decode the first so many levels; None for all.
        keep: Frames to hand back.
        through: What decoded frames `b t c h w` go through before they are scored; None for
            nothing.
    """
    begun = time.perf_counter()
    codes = codec.encode(given)
    decoded = codec.decode(codes, levels)
    if decoded.frames.is_cuda:
        torch.cuda.synchronize(decoded.frames.device)
    seconds = time.perf_counter() - begun
    frames = decoded.frames if through is None else through(decoded.frames)
    futures = score_frames(frames, truth, score, keep)
    return Reconstruction(codes, replace(futures, seconds=seconds))


@dataclass
class CodeTally:
    """Counts of tokens and bits over many clips; they do not grow."""

    levels: int | None
    """The first so many levels count; None for all."""
    usage: list[Usage] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)  # of each level, over all frames
    raw_bits: int = 0
    frames: int = 0
    available: int = 0

    def add(self, codes: Codes) -> None:
        """Count the codes of some clips."""
        pairs = list(zip(codes.levels, codes.values, strict=True))[: self.levels]
        usage = [Usage.of(level, values) for level, values in pairs]
        bits = [level.numel() * width(values) for level, values in pairs]
        if self.frames:
            usage = [a + b for a, b in zip(self.usage, usage, strict=True)]
            bits = [a + b for a, b in zip(self.bits, bits, strict=True)]
        self.usage, self.bits = usage, bits
        frames = len(codes.levels[0]) * codes.length
        self.frames += frames
        self.raw_bits += frames * math.prod(codes.frame) * RAW_BITS
        self.available = len(codes.levels)

    def info(self) -> CodecInfo:
        """The figures."""
        levels = [
            LevelInfo(len(usage.counts), usage.used, usage.perplexity, bits / self.frames)
            for usage, bits in zip(self.usage, self.bits, strict=True)
        ]
        return CodecInfo(
            sum(self.bits) / self.frames,
            self.raw_bits / self.frames,
            self.raw_bits / sum(self.bits),
            levels,
            self.available,
        )
