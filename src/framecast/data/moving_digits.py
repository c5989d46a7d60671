"""Moving-MNIST, made on the fly in its four published kinds."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float64, UInt8

from framecast.clip import Clip, Clips, DataConfig, Key, Source, Split
from framecast.config import to_json
from framecast.data import idx
from framecast.data.glyphs import draw_glyphs
from framecast.data.motion import CANVAS, MOTIONS, STARTS, Variant, draw, enlarge
from framecast.errors import ConfigError, DataError
from framecast.noise import mix
from framecast.wording import counted

Digits = Literal["mnist", "glyphs", "mnist+glyphs"]
Pool = Literal["split", "train"]

HELD_OUT = 10_000
"""The last so many MNIST training digits are the validation digits."""
TEST_SEED = 0
CHUNK = 16
"""Sequences drawn at a time: few enough for caches, and for memory that is reused, not mapped."""

PUBLISHED: dict[tuple[Variant, Split], tuple[int, ...]] = {
    ("srivastava", "train"): (10_000,),
    ("srivastava", "test"): (10_000, 5_000),
    ("v3d", "train"): (10_000,),
    ("v3d", "validation"): (1_000,),
    ("v3d", "test"): (1_000,),
}
"""Numbers of sequences that papers used."""


@dataclass(frozen=True)
class MovingDigits(DataConfig):
    """Digits that move on a black canvas of 64×64 pixels and bounce at its walls.

    Frames are float32 `t 1 64 64` in [0, 1]. A training sequence is a pure function of (seed,
    epoch, index), or of (seed, index) with `fixed_train`; a validation sequence of (seed, index). A
    test sequence is a function of its index alone, whatever the run's seed: a protocol is frozen.
    The first frames of a sequence do not depend on how many are asked for.
    """

    type: ClassVar[str] = "moving-digits"

    digits: Digits = "mnist"
    """`mnist`: digits from the idx files in `root`. `glyphs`: drawn with a font, no root needed.
    `mnist+glyphs`: every digit is one or the other, with equal chances."""
    variant: Variant = "srivastava"
    """How digits move: the generator of Srivastava et al., the two of SVG (32 px digits), or that
    of V3D-ConvLSTM's author."""
    count: int = 2
    """Digits per sequence."""
    pool: Pool = "split"
    """`split`: training uses MNIST's training digits but the last 10,000, validation those, test
    the test digits. `train`: every split uses all training digits, as V3D-ConvLSTM did."""
    fixed_train: bool = True
    """Whether every epoch has the same training sequences, or fresh ones without end."""
    train_size: int = 10_000
    """Sequences in an epoch of training."""
    validation_size: int = 1_000
    """Validation sequences."""
    test_size: int = 10_000
    """Test sequences: 10,000 as a rule, 5,000 in S-HR-VQVAE, 1,000 in V3D-ConvLSTM."""

    def __post_init__(self) -> None:
        """Refuse numbers that make no sequence."""
        for name in ("count", "train_size", "validation_size", "test_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; use 1 or more")

    def source(self, split: Split, frames: int, seed: int) -> "MovingDigitsSource":
        """The sequences of one split.

        Raises:
            DataError: if MNIST's files are missing: one line with their names and official source.
        """
        if frames < 1:
            raise DataError(f"a sequence of {frames} frames is none; ask for 1 or more")
        seed = TEST_SEED if split == "test" else seed
        path = None if self.digits == "glyphs" else idx.find_images(self.root, self.part(split))
        return MovingDigitsSource(self, split, frames, seed, path)

    def part(self, split: Split) -> idx.Part:
        """Which of MNIST's two files a split takes its digits from."""
        return "test" if split == "test" and self.pool == "split" else "train"

    def size(self, split: Split) -> int:
        """Number of sequences in an epoch of a split."""
        sizes: dict[Split, int] = {
            "train": self.train_size,
            "validation": self.validation_size,
            "test": self.test_size,
        }
        return sizes[split]


class MovingDigitsSource(Source):
    """Sequences of one split of `MovingDigits`, many at once."""

    def __init__(
        self, config: MovingDigits, split: Split, frames: int, seed: int, path: Path | None
    ) -> None:
        """Note what to make; digits are read when the first sequence is asked for.

        Args:
            config: The dataset.
            split: One of its splits.
            frames: Frames per sequence.
            seed: What sequences depend on beside their key.
            path: File of MNIST images; None for glyphs.
        """
        self.config, self.frames, self.seed, self.path = config, frames, seed, path
        self.split: Split = split
        self.fixed = config.fixed_train or split != "train"

    def __len__(self) -> int:
        """Number of sequences in an epoch."""
        return self.config.size(self.split)

    def __getitem__(self, key: Key) -> Clip:
        """The sequence of one key, equal to what `__getitems__` gives for it."""
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[Key]) -> Clips:
        """The sequences of some keys, in their order, much faster than one by one."""
        frames = torch.empty(len(keys), self.frames, 1, CANVAS, CANVAS)
        for first in range(0, len(keys), CHUNK):
            drawn = torch.from_numpy(self._draw(keys[first : first + CHUNK]))
            frames[first : first + CHUNK].copy_(drawn.unsqueeze(2)).div_(255)
        return Clips(Clip(frames))

    def fingerprint(self) -> str:
        """SHA-256 of configuration, split, length, seed and the digits; not of where they lie."""
        settings = {k: v for k, v in to_json(self.config).items() if k != "root"}
        names = json.dumps([settings, self.split, self.frames, self.seed], sort_keys=True)
        digest = hashlib.sha256(names.encode())
        digest.update(np.ascontiguousarray(self.digits()).data)
        return digest.hexdigest()

    def notes(self) -> tuple[str, ...]:
        """Where digits, counts or the draw deviate from the published sets."""
        config, notes = self.config, list[str]()
        if self.path is None:
            notes.append("digits are drawn with a font: figures compare with no published ones")
            if config.root is not None:
                notes.append(f"{config.root} is not read; --data.digits mnist reads its digits")
        else:
            notes += self._mnist_notes(len(idx.read_images(self.path)))
        if config.digits == "mnist+glyphs":
            notes.append("half of the digits are drawn with a font; published: none")
        published = PUBLISHED.get((config.variant, self.split), ())
        if published and len(self) not in published:
            usual = " or ".join(f"{n:,}" for n in published)
            notes.append(f"{len(self):,} {self.split} sequences; published: {usual}")
        if published and not self.fixed:
            notes.append("training sequences are fresh in every epoch; published: a fixed set")
        if config.count not in ((2, 3) if config.variant.startswith("svg") else (2,)):
            notes.append(f"{counted(config.count, 'digit')} per sequence; published: 2")
        return tuple(notes)

    def _mnist_notes(self, found: int) -> list[str]:
        config, notes = self.config, list[str]()
        part = config.part(self.split)
        if found != idx.COUNTS[part]:
            notes.append(f"{found:,} {part} digits; MNIST has {idx.COUNTS[part]:,}")
        if (config.variant == "v3d") != (config.pool == "train"):
            whose = "all training" if config.pool == "train" else "the split's own"
            usual = "all training" if config.variant == "v3d" else "the split's own"
            notes.append(f"drawn from {whose} digits; published for {config.variant}: {usual}")
        return notes

    def _draw(self, keys: Sequence[Key]) -> UInt8[np.ndarray, "n t 64 64"]:
        motion, digits = MOTIONS[self.config.variant], self.config.count
        draws = self._uniforms(keys)
        which, start, redraw = np.split(draws, [digits, digits * (1 + STARTS)], axis=1)
        bank = self.digits()
        places = motion.move(
            start.reshape(len(keys), digits, STARTS),
            redraw.reshape(len(keys), self.frames, digits, motion.redraws),
        )
        return draw(bank[(which * len(bank)).astype(np.int64)], places, motion)

    def _uniforms(self, keys: Sequence[Key]) -> Float64[np.ndarray, "n numbers"]:
        """All that is random in sequences, uniform in [0, 1): digits, starts, then each frame.

        The numbers of a sequence are those of `np.random.Philox(key=seed of the sequence)`. Setting
        the state of one generator is ten times faster than making a generator for each.
        """
        digits, motion = self.config.count, MOTIONS[self.config.variant]
        raw = np.empty((len(keys), digits * (1 + STARTS + self.frames * motion.redraws)), np.uint64)
        generator = np.random.Philox(key=0)
        fresh = generator.state
        for row, key in zip(raw, keys, strict=True):
            fresh["state"]["key"][0] = self._seed(key)
            generator.state = fresh
            row[:] = generator.random_raw(len(row))
        return (raw >> 11) * 2.0**-53

    def _seed(self, key: Key) -> int:
        epoch, index = key
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        return mix("moving-digits", self.split, self.seed, 0 if self.fixed else epoch, index)

    def digits(self) -> UInt8[np.ndarray, "n side side"]:
        """The images that sequences show, in the size in which they move; not to be written to."""
        shared, variant = self.config.pool == "train", self.config.variant
        split = "train" if shared else self.split
        if self.path is None:
            return _glyph_bank(split, variant)
        if self.config.digits == "mnist+glyphs":
            return _mixed_bank(self.path, None if shared else self.split, split, variant)
        return _mnist_bank(self.path, None if shared else self.split, variant)


@lru_cache(maxsize=8)
def _glyph_bank(split: Split, variant: Variant) -> UInt8[np.ndarray, "n side side"]:
    return _sized(draw_glyphs(split), variant)


@lru_cache(maxsize=8)
def _mnist_bank(
    path: Path, split: Split | None, variant: Variant
) -> UInt8[np.ndarray, "n side side"]:
    images = idx.read_images(path)
    if split in ("train", "validation"):
        if len(images) <= HELD_OUT:
            raise DataError(
                f"{path} has {len(images):,} digits, and the last {HELD_OUT:,} are for validation; "
                "use the original file of 60,000"
            )
        images = images[:-HELD_OUT] if split == "train" else images[-HELD_OUT:]
    return _sized(images, variant)


@lru_cache(maxsize=8)
def _mixed_bank(
    path: Path, split: Split | None, glyphs: Split, variant: Variant
) -> UInt8[np.ndarray, "n side side"]:
    mnist, drawn = _mnist_bank(path, split, variant), _glyph_bank(glyphs, variant)
    return np.concatenate([mnist, np.resize(drawn, mnist.shape)])


def _sized(
    images: UInt8[np.ndarray, "n 28 28"], variant: Variant
) -> UInt8[np.ndarray, "n side side"]:
    side = MOTIONS[variant].side
    return images if side == images.shape[-1] else enlarge(images, side)
